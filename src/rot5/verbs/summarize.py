"""`rot5 summarize`: a summary of a user's own text."""

import sys
from pathlib import Path

from rot5.config import SummarizeConfig
from rot5.data import files
from rot5.errors import UserError
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig, problems
from rot5.load import load


def run(config: SummarizeConfig) -> None:
    """Print one summary per text, each on one line."""
    settings = GenerateConfig(
        max_new_tokens=config.max_new_tokens, num_beams=config.num_beams, precision=config.precision
    )
    if found := problems(settings):
        raise UserError("; ".join(found))
    if config.input == "-":
        try:
            text = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise UserError(f"standard input is not UTF-8 text at byte {error.start}: convert it to UTF-8") from error
        texts = [part.strip() for part in text.split(files.SEPARATOR) if part.strip()]
    else:
        texts = list(files.texts(Path(config.input)))
    if not texts:
        raise UserError(f"{'standard input' if config.input == '-' else config.input} is empty: give some text")
    loaded = load(config.model)
    for summary in write_texts(loaded, texts, settings):
        print(" ".join(summary.split()))
