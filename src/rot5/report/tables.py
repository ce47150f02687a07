"""Tables of results: one description of the columns, printed on a terminal and in HTML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich import table as rich_table
from rich.box import SIMPLE_HEAD
from rich.text import Text

from rot5.report.html import Html, element

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """Which entry of a row to show, and how."""

    key: str
    """The entry: a text, a number, or an interval as `{"mean", "low", "high"}`."""
    heading: str
    digits: int = 1
    """Decimals of a number that is not an int."""
    scale: float = 1
    """What to multiply numbers by: 100 to show a share in per cent."""
    text: bool = False
    """Whether it holds words, which are aligned left."""


@dataclass(frozen=True)
class Table:
    """One table, and what has to be known to read it."""

    title: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    about: str = ""


class Cell(NamedTuple):
    """What to print: the value, and the ends of its interval."""

    value: str
    low: str = ""
    high: str = ""


SUMMARY_COLUMNS = (
    Column("system", "System", text=True),
    Column("content_true", "Content words true,\u00a0%"),
    Column("content_covered", "Facts told,\u00a0%"),
    Column("rouge1", "ROUGE-1"),
    Column("rouge2", "ROUGE-2"),
    Column("rougeL", "ROUGE-L"),
    Column("rougeLsum", "ROUGE-Lsum"),
    Column("original/rougeL", "ROUGE-L of lemmas"),
    Column("words", "Words"),
)

TEXT_COLUMNS = (
    Column("system", "System", text=True),
    Column("bleu", "BLEU"),
    Column("chrf", "chrF"),
    Column("exact_match", "Exact,\u00a0%"),
    Column("length_ratio", "Length", digits=2),
    Column("coverage", "Coverage,\u00a0%"),
    Column("density", "Density"),
    Column("novel/2", "Novel,\u00a0%"),
    Column("repetition", "Repeats,\u00a0%"),
)
"""A second table of the same systems, 90 characters wide; novel are the pairs of words that the input has not."""

CLAIM_COLUMNS = (
    Column("system", "System", text=True),
    Column("content_true", "True,\u00a0%"),
    Column("content_invented", "Invented,\u00a0%"),
    Column("true/characters", "Characters"),
    Column("true/objects", "Objects"),
    Column("true/qualities", "Qualities"),
    Column("true/actions", "Actions"),
    Column("true/places", "Places"),
    Column("true/feelings", "Feelings"),
    Column("true/others", "Others"),
)
"""A third one, where facts can be read: per cent of the content words of each kind that are true of the story."""

COMPARED_COLUMNS = (
    Column("figure", "The first less the other", text=True),
    Column("difference", "Difference"),
)

TASK_COLUMNS = (
    Column("task", "Task", text=True),
    Column("metric", "Measure", text=True),
    Column("score", "Score"),
    Column("examples", "Examples"),
)

LIKELIHOOD_COLUMNS = (
    Column("denoiser", "Kind", text=True),
    Column("loss", "Nats per target", digits=3),
    Column("bits_per_byte", "Bits per byte", digits=3),
    Column("examples", "Examples"),
    Column("targets", "Targets"),
    Column("share_of_targets", "Share of targets,\u00a0%", scale=100),
    Column("bytes", "Bytes"),
)

RUN_COLUMNS = (
    Column("run", "Run", text=True),
    Column("parameters", "Parameters"),
    Column("step", "Steps"),
    Column("story_tokens", "Story tokens"),
    Column("minutes", "Minutes of training"),
    Column("train_loss", "Training loss", digits=3),
    Column("loss", "Evaluation loss", digits=3),
    Column("bits_per_byte", "Bits per byte", digits=3),
    Column("content_true", "Content words true,\u00a0%"),
    Column("rougeL", "ROUGE-L"),
)


def summary_rows(summaries: Mapping[str, Any]) -> list[dict]:
    """Rows for `SUMMARY_COLUMNS` out of the `summaries` of eval.json."""
    return [{"system": name, **figures} for name, figures in summaries.get("systems", {}).items()]


def text_rows(summaries: Mapping[str, Any]) -> list[dict]:
    """Rows for `TEXT_COLUMNS` out of the `summaries` of eval.json; none where it was written without these figures."""
    rows = summary_rows(summaries)
    return rows if len(present(rows, TEXT_COLUMNS)) > 1 else []


def claim_rows(summaries: Mapping[str, Any]) -> list[dict]:
    """Rows for `CLAIM_COLUMNS` out of the `summaries` of eval.json; none where kinds of claims were not judged."""
    rows = [row for row in summary_rows(summaries) if "content_true" in row]
    return rows if any(key.startswith("true/") for row in rows for key in row) else []


def compared_rows(summaries: Mapping[str, Any]) -> list[dict]:
    """Rows for `COMPARED_COLUMNS` out of the `summaries` of eval.json; none where nothing was compared."""
    named = {"rougeL": "ROUGE-L", "content_true": "Content words true, %", "exact_match": "Exact, %"}
    compared = summaries.get("compared", {})
    return [{"figure": named[key], "difference": compared[key]} for key in named if key in compared]


def task_rows(summaries: Mapping[str, Any]) -> list[dict]:
    """Rows for `TASK_COLUMNS` out of the `summaries` of eval.json; none where pairs are of no tasks."""
    named = {"rouge": "ROUGE-L", "exact": "exact, %", "f1": "F1 of words"}
    tasks = summaries.get("tasks", {}).items()
    return [{"task": task, **figures, "metric": named[figures["metric"]]} for task, figures in tasks]


def likelihood_rows(likelihood: Mapping[str, Any]) -> list[dict]:
    """Rows for `LIKELIHOOD_COLUMNS` out of the `likelihood` of eval.json: its dicts, the settings aside."""
    return [
        {"denoiser": name, **figures}
        for name, figures in likelihood.items()
        if isinstance(figures, Mapping) and name != "settings"
    ]


def likelihood_notes(likelihood: Mapping[str, Any]) -> list[str]:
    """What stands below the likelihood: of which data it is, what masked them, and what was left out."""
    told = likelihood.get("settings", {})
    notes = []
    if "denoisers" in told:
        names = ", ".join(each["name"] for each in told["denoisers"])
        rows = f"in rows of {told['rows']['encoder_length']} and {told['rows']['decoder_length']} tokens"
        whose = {"its own": "its own denoisers", "default": "the default denoisers"}
        by = whose.get(told["objective"], f"the denoisers of {told['objective']}")
        notes.append(f"On {told['data']}, masked by {by} ({names}) {rows}.")
        if told["objective"] == "default":
            notes.append("The model has no objective of its own: --objective RUN masks the text as a run's is masked.")
    elif told:
        notes.append(f"On {told['data']}.")
    notes += [f"Skipped, {left_out}." for left_out in likelihood.get("skipped", ())]
    unknown, lost = (likelihood.get(key, 0) for key in ("unknown_targets", "lost_bytes"))
    if unknown or lost:
        notes.append(
            f"What its tokenizer cannot spell favours this model: {unknown:,} targets are unknown to it, "
            f"{lost:,} bytes of text are lost."
        )
    return notes


def number(value: float, digits: int) -> str:
    """A count as it is, another number with `digits` decimals, thousands set apart."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    return f"{value:,.{digits}f}"


def cell(value: object, column: Column) -> Cell:
    """What a value looks like in a column; nothing measured is an empty cell."""
    if value is None:
        return Cell("")
    if isinstance(value, Mapping):
        return Cell(*(number(value[key] * column.scale, column.digits) for key in ("mean", "low", "high")))
    if isinstance(value, int | float):
        return Cell(number(value if column.scale == 1 else value * column.scale, column.digits))
    return Cell(str(value))


def present(rows: Sequence[Row], columns: Sequence[Column]) -> list[Column]:
    """The columns that hold something in at least one row."""
    return [column for column in columns if any(row.get(column.key) is not None for row in rows)]


def text_table(
    rows: Sequence[Row], columns: Sequence[Column], title: str | None = None, intervals: bool = True
) -> rich_table.Table:
    """The table for a terminal; print it with a `rich.console.Console`. Columns without any value are left out.

    With `intervals`, their ends stand below the values; summaries then take some 90 characters, without them 80.
    """
    table = rich_table.Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    columns = present(rows, columns)
    for column in columns:
        table.add_column(Text(column.heading.replace("\u00a0", " ")), justify="left" if column.text else "right")
    for row in rows:
        cells = [cell(row.get(column.key), column) for column in columns]
        table.add_row(*(_text_cell(found, intervals) for found in cells))
    return table


def _text_cell(found: Cell, intervals: bool) -> Text:
    ends = f"\n{found.low}\u2013{found.high}" if intervals and found.low else ""
    return Text.assemble(found.value, (ends, "dim"))


def html_table(rows: Sequence[Row], columns: Sequence[Column], caption: str) -> Html:
    """The same table in HTML, numbers aligned right, in a box that scrolls where the page is narrow."""
    columns = present(rows, columns)
    heads = [element("th", column.heading, scope="col", class_=_kind(column)) for column in columns]
    body = [element("tr", *(_html_cell(row, column, n == 0) for n, column in enumerate(columns))) for row in rows]
    table = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    )
    return element("div", table, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _html_cell(row: Row, column: Column, names_row: bool) -> Html:
    found = cell(row.get(column.key), column)
    ends = element("span", f"{found.low} to {found.high}", class_="interval") if found.low else None
    if names_row:
        return element("th", found.value, ends, scope="row", class_=_kind(column))
    return element("td", found.value, ends, class_=_kind(column))


def _kind(column: Column) -> str:
    return "text" if column.text else "number"
