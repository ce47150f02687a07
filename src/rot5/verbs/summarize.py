"""`rot5 summarize`: a summary of a user's own text."""

from rot5.config import SummarizeConfig
from rot5.data.files import texts_given
from rot5.errors import UserError
from rot5.generate.settings import GenerateConfig, problems
from rot5.progress import shown


def run(config: SummarizeConfig) -> None:
    """Print one summary per text, each on one line."""
    settings = GenerateConfig(
        max_new_tokens=config.max_new_tokens, num_beams=config.num_beams, precision=config.precision
    )
    if found := problems(settings):
        raise UserError("; ".join(found))
    texts = texts_given(config.input)

    from rot5.generate.answers import write_texts  # seconds to import: mistakes above are told before
    from rot5.loading import load

    loaded = load(config.model)
    with shown("summarizing", len(texts)) as tell:
        summaries = write_texts(loaded, texts, settings, tell)
    for summary in summaries:
        print(" ".join(summary.split()))
