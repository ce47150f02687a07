"""The same results as Markdown, for a README or a results page: tables, samples and the commands that made them."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from rot5.report.judged import (
    AGES_COLUMNS,
    MODELS_COLUMNS,
    OFFLINE_COLUMNS,
    Judged,
    ages_of_all,
    find_judged,
    grades_of_all,
    measures_of_all,
)
from rot5.report.runs import Run, find_runs, no_run
from rot5.report.tables import (
    CLAIM_COLUMNS,
    COMPARED_COLUMNS,
    LIKELIHOOD_COLUMNS,
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    TASK_COLUMNS,
    TEXT_COLUMNS,
    Column,
    Row,
    cell,
    claim_rows,
    compared_rows,
    likelihood_notes,
    likelihood_rows,
    present,
    summary_rows,
    task_rows,
    text_rows,
)

SAMPLES_SHOWN = 6


def markdown_table(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A table whose intervals stand behind their values."""
    columns = present(rows, columns)
    lines = [
        [" ".join(column.heading.split()) for column in columns],
        ["---" if column.text else "---:" for column in columns],
    ]
    for row in rows:
        found = [cell(row.get(column.key), column) for column in columns]
        lines.append([f"{each.value} ({each.low} to {each.high})" if each.low else each.value for each in found])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_markdown(folder: Path, path: Path) -> Path:
    """Write the results of a run folder, or of a folder of them, to `path`. Raises UserError where there is no run."""
    runs, found = find_runs(folder), find_judged(folder)
    if not runs and not found:
        raise no_run(folder)
    machine = f" {_machine(runs[0])}" if runs else ""
    over = [of for of, there in (("documents", runs), ("openings", found)) if there]
    parts = [
        f"# Results of {folder.resolve().name}",
        f"Written by `rot5 report {folder} --markdown {path}`.{machine} "
        f"Intervals are 95 % bootstrap intervals over {' or '.join(over)}.",
    ]
    if runs:
        parts.append(markdown_table([run.overview() for run in runs], RUN_COLUMNS))
    parts += _of_judged(found)
    for run in runs:
        parts += _of(run)
    commands = [shlex.join(run.command) for run in runs if run.command]
    if commands:
        parts += ["## Commands", "```bash\n" + "\n".join(commands) + "\n```"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def _machine(run: Run) -> str:
    told = run.environment
    return f"Machine: {told['device']}, {told['threads']} threads, torch {told['torch']}." if "device" in told else ""


def _of_judged(found: Sequence[Judged]) -> list[str]:
    parts = []
    if graded := grades_of_all(found):
        parts += ["## Grades", markdown_table(graded, MODELS_COLUMNS), markdown_table(ages_of_all(found), AGES_COLUMNS)]
    if measured := measures_of_all(found):
        parts += ["## Measures of completions", markdown_table(measured, OFFLINE_COLUMNS)]
    return parts


def _of(run: Run) -> list[str]:
    parts = []
    if run.likelihood:
        parts += [f"## {run.name}: likelihood", markdown_table(likelihood_rows(run.likelihood), LIKELIHOOD_COLUMNS)]
        parts += [" ".join(notes)] if (notes := likelihood_notes(run.likelihood)) else []
    if run.summaries:
        heading = f"## {run.name}: summaries of {run.summaries.get('examples', 0)} texts"
        parts += [heading, markdown_table(summary_rows(run.summaries), SUMMARY_COLUMNS)]
        for rows, columns in (
            (text_rows(run.summaries), TEXT_COLUMNS),
            (claim_rows(run.summaries), CLAIM_COLUMNS),
            (task_rows(run.summaries), TASK_COLUMNS),
            (compared_rows(run.summaries), COMPARED_COLUMNS),
        ):
            if rows:
                parts.append(markdown_table(rows, columns))
    if run.samples:
        parts.append(f"## {run.name}: samples")
        parts += [_sample(sample) for sample in _varied(run.samples)]
    return parts


def _varied(samples: Sequence[dict]) -> list[dict]:
    """The first samples, two of each kind where there are kinds."""
    kinds: dict[str, list[dict]] = {}
    for sample in samples:
        kinds.setdefault(sample.get("kind", ""), []).append(sample)
    if len(kinds) == 1:
        return list(samples[:SAMPLES_SHOWN])
    return [sample for of_kind in kinds.values() for sample in of_kind[:2]]


def _sample(sample: dict) -> str:
    parts = [("Input", sample["input"])]
    parts += [("Reference", text) for text in (sample.get("references") or [])[:1]]
    parts.append(("Model", sample["prediction"]))
    kind = f"`{sample['kind']}` " if sample.get("kind") else ""
    lines = "\n".join(f"- {name}: {_inline(text)}" for name, text in parts)
    return f"{kind}example {sample['index']}\n\n{lines}"


def _inline(text: str) -> str:
    """Text on one line of a list, shown as it is."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence} {' '.join(text.split())} {fence}"
