"""Texts that somebody else wrote, read from a file to be scored: JSON lines, or plain text with one on each line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rot5.data.sources import Pair
from rot5.errors import UserError


@dataclass(frozen=True)
class Predictions:
    """The predictions of a file in their order, and the inputs that it says they are of, None where it says none."""

    path: Path
    texts: list[str]
    inputs: Sequence[str | None]

    def check(self, pairs: Sequence[Pair], of_all: int) -> None:
        """Raise UserError unless these are predictions of the `pairs`, the first ones of so many."""
        if len(self.texts) != len(pairs):
            first = f" or for the first {len(pairs):,} (--summaries)" if len(pairs) < of_all else ""
            raise UserError(
                f"{self.path} holds {len(self.texts):,} predictions: give one for each of the {of_all:,} pairs{first}"
            )
        for n, (text, pair) in enumerate(zip(self.inputs, pairs, strict=True), start=1):
            if text not in (None, pair.input):
                raise UserError(
                    f"{self.path}, line {n}: its `input` is not that of pair {n} of the data: give the same data"
                )


def read_predictions(path: Path) -> Predictions:
    """The predictions of a file.

    JSON lines hold a `prediction` each, samples.jsonl among them, and perhaps an `input`. A file is JSON lines if its
    name ends in .jsonl or its first line opens an object; else each line is a prediction, an empty line an empty one.
    Lines end with a line feed, perhaps behind a carriage return. Raises UserError that names the line.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read the predictions {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the predictions {path} are not UTF-8 text at byte {error.start}") from error
    lines = content.removesuffix("\n").split("\n") if content else []
    if path.suffix == ".jsonl" or (lines and lines[0].lstrip().startswith("{")):
        lines = content.rstrip().split("\n") if content.strip() else []
        rows = [_row(f"{path}, line {n}", line) for n, line in enumerate(lines, start=1)]
        texts, inputs = [row["prediction"] for row in rows], [row.get("input") for row in rows]
    else:
        texts = [line.removesuffix("\r") for line in lines]
        inputs = [None] * len(texts)
    if not texts:
        raise UserError(f"the predictions {path} are empty: give one line for each pair")
    return Predictions(path, texts, inputs)


def _row(where: str, line: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(row, dict) or not isinstance(row.get("prediction"), str):
        raise UserError(f"{where}: not a JSON object with a `prediction` text")
    try:
        row["prediction"].encode()
    except UnicodeEncodeError as error:
        broken = ascii(row["prediction"][error.start])
        raise UserError(f"{where}: its `prediction` is no text: {broken} is half of a character") from None
    return row
