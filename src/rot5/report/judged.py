"""What a report shows of folders that `rot5 judge` wrote: grades and measures side by side, completions below."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rot5.evaluation.rubric import AGE_GROUPS, DIMENSIONS
from rot5.report.charts import STYLES
from rot5.report.html import Html, element, join
from rot5.report.runs import by_name
from rot5.report.tables import Column, html_table
from rot5.train.run_folder import read_jsonl

OPENINGS_SHOWN = 8
COMPLETIONS_SHOWN = 2
"""Of each model, of each opening that is shown."""

GRADE_COLUMNS = (
    Column("dimension", "Grade, 1 to 10", text=True),
    Column("mean", "Mean", digits=2),
    Column("answers", "Answers"),
    Column("openings", "Openings"),
)
AGE_COLUMNS = (
    Column("age", "Age group", text=True),
    Column("years", "Years", text=True),
    Column("share", "Share,\u00a0%", scale=100),
)
OFFLINE_COLUMNS = (
    Column("model", "Model", text=True),
    Column("words", "Words"),
    Column("repetition", "Repeats,\u00a0%"),
    Column("distinct/2", "Distinct pairs,\u00a0%"),
    Column("names_told", "Names told,\u00a0%"),
    Column("unknown_words", "Unknown words,\u00a0%"),
    Column("instructions_kept", "Instructions kept,\u00a0%"),
    Column("in_training", "In training,\u00a0%"),
    Column("longest_in_training", "Longest run"),
)
MODELS_COLUMNS = (
    Column("model", "Model", text=True),
    *(Column(name, name.capitalize(), digits=2) for name in DIMENSIONS),
    Column("judged", "Judged"),
    Column("unreadable", "Unreadable"),
)
AGES_COLUMNS = (
    Column("model", "Model", text=True),
    *(Column(letter, f"{letter}: {years}", scale=100) for letter, years in AGE_GROUPS.items()),
)

GRADES_EXPLAINED = (
    "Grades from 1 (worst) to 10 (best) by a large language model, means over completions; plot only where the opening "
    "came with an instruction. Ends of 95 % intervals over openings stand below each figure. Compare only models that "
    "the same judge graded on the same openings."
)
OFFLINE_EXPLAINED = (
    "Repeats is the share of runs of 4 words that the same completion said before; distinct pairs are those of all "
    "completions together by their words. Names told are those that stand in the opening or are introduced. Unknown "
    "words are in no dictionary. Instructions kept are required words, sentences and dialogue, as far as they can be "
    "checked. In training is the share of runs of 8 words that the training corpus has too, and longest run the mean "
    "length in words of the longest such run of a completion."
)


def grade_rows(found: Mapping[str, Any]) -> list[dict]:
    """Rows for `GRADE_COLUMNS` out of a judge.json."""
    return [
        {"dimension": name, "mean": figures, "answers": figures["answers"], "openings": figures["openings"]}
        for name, figures in found.get("grades", {}).items()
    ]


def age_rows(found: Mapping[str, Any]) -> list[dict]:
    """Rows for `AGE_COLUMNS` out of a judge.json."""
    return [
        {"age": letter, "years": AGE_GROUPS[letter], "share": share} for letter, share in found.get("ages", {}).items()
    ]


def offline_row(model: str, offline: Mapping[str, Any]) -> dict:
    """A row for `OFFLINE_COLUMNS` out of the `offline` of a judge.json."""
    return {"model": model, **offline}


@dataclass(frozen=True)
class Judged:
    """A folder of `rot5 judge` under the name that the report calls it by."""

    name: str
    path: Path

    @cached_property
    def found(self) -> dict:
        """Its judge.json."""
        return json.loads((self.path / "judge.json").read_text(encoding="utf-8"))

    @cached_property
    def openings(self) -> list[dict]:
        return read_jsonl(self.path / "openings.jsonl")

    @cached_property
    def completions(self) -> dict[int, list[dict]]:
        """Per opening its completions, each with `grades` and `age` where it was graded."""
        grades = {(row["opening"], row["sample"]): row for row in read_jsonl(self.path / "grades.jsonl")}
        found: dict[int, list[dict]] = {}
        for row in read_jsonl(self.path / "completions.jsonl"):
            graded = grades.get((row["opening"], row["sample"]), {})
            found.setdefault(row["opening"], []).append(
                row | {"grades": graded.get("grades") or {}, "age": graded.get("age")}
            )
        return found


def find_judged(folder: Path) -> list[Judged]:
    """The folder of `rot5 judge` that this one is, or those in it, by name."""
    if (folder / "judge.json").is_file():
        return [Judged(folder.resolve().name, folder)]
    return by_name(Judged(path.name, path) for path in folder.iterdir() if (path / "judge.json").is_file())


def grades_of_all(judged: Sequence[Judged]) -> list[dict]:
    """Rows for `MODELS_COLUMNS`, one for each model that was graded."""
    return [
        {"model": each.name, **each.found["grades"], **{key: each.found.get(key) for key in ("judged", "unreadable")}}
        for each in judged
        if each.found.get("grades")
    ]


def ages_of_all(judged: Sequence[Judged]) -> list[dict]:
    """Rows for `AGES_COLUMNS`, one for each model that was graded."""
    return [{"model": each.name, **each.found["ages"]} for each in judged if each.found.get("ages")]


def measures_of_all(judged: Sequence[Judged]) -> list[dict]:
    """Rows for `OFFLINE_COLUMNS`, one for each model."""
    return [offline_row(each.name, each.found["offline"]) for each in judged if each.found.get("offline")]


def grades(judged: Sequence[Judged]) -> Html | None:
    """Grades and guessed ages, a row for each model."""
    rows, ages = grades_of_all(judged), ages_of_all(judged)
    if not rows:
        return None
    told = _different(each.found["protocol"].get("judge_model", "") for each in judged if each.found.get("grades"))
    return join(
        [
            html_table(rows, MODELS_COLUMNS, "Grades"),
            html_table(ages, AGES_COLUMNS, "Age of the writer as guessed, % of the completions") if ages else None,
            element("p", GRADES_EXPLAINED, class_="note"),
            element("p", f"Judge: {', '.join(told)}.", class_="note"),
        ]
    )


def measures(judged: Sequence[Judged]) -> Html | None:
    """What was measured without a judge, a row for each model."""
    rows = measures_of_all(judged)
    if not rows:
        return None
    unchecked = sum(row.get("instructions_unchecked", 0) for row in rows)
    note = f"{unchecked:,} instructions can be checked by no program." if unchecked else None
    return join(
        [
            html_table(rows, OFFLINE_COLUMNS, "Measured without a judge"),
            element("p", OFFLINE_EXPLAINED, class_="note"),
            element("p", note, class_="note") if note else None,
        ]
    )


def completions(judged: Sequence[Judged]) -> Html | None:
    """Openings with what each model made of them and how that was graded; models of other openings by themselves."""
    groups: dict[str, list[tuple[int, Judged]]] = {}
    for n, each in enumerate(judged):
        if each.openings:
            groups.setdefault(json.dumps(each.openings), []).append((n, each))
    shown = [
        _opening(number, opening, of_group)
        for of_group in groups.values()
        for number, opening in enumerate(of_group[0][1].openings[:OPENINGS_SHOWN])
    ]
    if not shown:
        return None
    note = f"The first {COMPLETIONS_SHOWN} completions of the first openings."
    return join([element("p", note, class_="note"), *shown])


def _opening(number: int, opening: Mapping[str, str], models: Sequence[tuple[int, Judged]]) -> Html:
    label = f"Opening {number + 1}"
    asked = element("p", opening["instruction"], class_="note") if opening.get("instruction") else None
    given = element("div", asked, element("p", opening["text"], dir="auto"), class_="story")
    written = [
        element(
            "div",
            element("h3", each.name, element("span", _grades_of(row))),
            element("p", row["completion"] or "(nothing)", dir="auto"),
            class_=f"written edge-{n % STYLES}",
        )
        for n, each in models
        for row in each.completions.get(number, [])[:COMPLETIONS_SHOWN]
    ]
    return element("article", element("div", element("h3", label), given), element("div", *written), class_="sample")


def _grades_of(row: Mapping[str, Any]) -> str:
    told = [f"{name} {score:g}" for name, score in row["grades"].items()]
    return ", ".join([*told, f"age {AGE_GROUPS[row['age']]}"] if row["age"] in AGE_GROUPS else told)


def _different(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
