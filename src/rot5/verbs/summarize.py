"""`rot5 summarize`: a summary of a user's own text."""

import sys
from pathlib import Path

from rot5.config import SummarizeConfig
from rot5.data import files
from rot5.errors import UserError
from rot5.generate import GenerateConfig, write_texts
from rot5.load import load


def run(config: SummarizeConfig) -> None:
    """Print one summary per text."""
    if config.input == "-":
        texts = [part.strip() for part in sys.stdin.read().split(files.SEPARATOR) if part.strip()]
    else:
        texts = list(files.texts(Path(config.input)))
    if not texts:
        raise UserError(f"{'standard input' if config.input == '-' else config.input} is empty: give some text")
    loaded = load(config.model)
    settings = GenerateConfig(max_new_tokens=config.max_new_tokens, num_beams=config.num_beams)
    for summary in write_texts(loaded, texts, settings):
        print(summary)
