"""`rot5 generate`: what a model writes behind texts of a user's own."""

from dataclasses import replace

from rot5.config import GenerateTextConfig
from rot5.data.files import SEPARATOR, texts_given
from rot5.errors import UserError
from rot5.generate.settings import problems
from rot5.progress import shown


def run(config: GenerateTextConfig) -> None:
    """Print the answer to each text as it is, answers apart as texts are."""
    if found := problems(config):
        raise UserError("; ".join(found))
    texts = texts_given(config.input)

    from rot5.generate.answers import write_texts  # seconds to import: mistakes above are told before
    from rot5.loading import load

    loaded = load(config.model)
    if config.prefix is not None:
        loaded = replace(loaded, prefix=config.prefix)
    with shown("writing", len(texts)) as tell:
        answers = write_texts(loaded, texts, config, tell)
    print(f"\n{SEPARATOR}\n".join(answers))
