"""Texts that somebody else wrote, read from a file to be scored: JSON lines, or plain text with one on each line."""

import json
from collections.abc import Sequence
from pathlib import Path

from rot5.data.sources import Pair
from rot5.errors import UserError


def read_predictions(path: Path, pairs: Sequence[Pair]) -> list[str]:
    """The predictions of a file, one for each of the pairs and in their order.

    JSON lines hold a `prediction` each, samples.jsonl among them; where a line has an `input` too, it must be that of
    its pair. A file is JSON lines if its name ends in .jsonl or its first line opens an object; else each line is a
    prediction, an empty line an empty one. Raises UserError that names the line, or both numbers where they differ.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the predictions {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the predictions {path} are not UTF-8 text at byte {error.start}") from error
    if not content.strip():
        raise UserError(f"the predictions {path} are empty: give one line for each pair")
    lines = content.removesuffix("\n").split("\n")
    as_json = path.suffix == ".jsonl" or lines[0].lstrip().startswith("{")
    rows = [_row(f"{path}, line {n}", line) for n, line in enumerate(lines, start=1)] if as_json else []
    if len(lines) != len(pairs):
        raise UserError(
            f"{path} holds {len(lines):,} predictions for {len(pairs):,} pairs: give one for each, or set --summaries "
            "to score the first pairs alone"
        )
    for n, (row, pair) in enumerate(zip(rows, pairs, strict=False), start=1):
        if row.get("input", pair.input) != pair.input:
            raise UserError(f"{path}, line {n}: its `input` is not that of pair {n} of the data: give the same data")
    return [row["prediction"] for row in rows] if as_json else [line.removesuffix("\r") for line in lines]


def _row(where: str, line: str) -> dict:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(row, dict) or not isinstance(row.get("prediction"), str):
        raise UserError(f"{where}: not a JSON object with a `prediction` text")
    return row
