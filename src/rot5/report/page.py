"""The report of a run, or of a folder of runs: one HTML file that needs nothing outside itself."""

from collections.abc import Sequence
from pathlib import Path

from rot5.report import judged, sections
from rot5.report.frame import header, in_sections, write_html
from rot5.report.html import Html, join
from rot5.report.judged import Judged, find_judged
from rot5.report.runs import Run, find_runs, no_run


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, or into a folder of run folders, and return its path.

    A run folder has a config.yaml or an eval.json, a folder of `rot5 judge` a judge.json; whatever else is not there
    yet is left out. Raises UserError where there is nothing to report.
    """
    runs, found = find_runs(folder), find_judged(folder)
    if not runs and not found:
        raise no_run(folder)
    title = folder.resolve().name
    if not runs:
        body = _of_judged(title, found)
    elif runs[0].folder.path == folder:
        body = _of_one(runs[0], found)
    else:
        body = _of_several(runs, found)
    return write_html(folder, title, body)


def _of_judged(title: str, found: Sequence[Judged]) -> Html:
    several = f"{len(found)} models side by side." if len(found) > 1 else "One model."
    about = f"Openings of stories, completed, measured and graded. {several}"
    return join([header(title, about), in_sections(_judged_sections(found))])


def _judged_sections(found: Sequence[Judged]) -> list[tuple[str, Html | None]]:
    return [
        ("Grades", judged.grades(found)),
        ("Measures of completions", judged.measures(found)),
        ("Completions", judged.completions(found)),
    ]


def _of_one(run: Run, found: Sequence[Judged]) -> Html:
    body = in_sections(
        [
            ("Summaries", sections.summaries(run)),
            ("Likelihood", sections.likelihood(run)),
            ("Curves", sections.curves(run)),
            ("Samples", sections.samples([run])),
            *_judged_sections(found),
            ("Reproduce", sections.commands([run])),
            ("Settings", sections.details(run)),
        ]
    )
    about = "One training run: its results, how it got there, and what it takes to repeat it."
    if not run.folder.exists():
        about = "One evaluation, of a model or of texts that were trained or written elsewhere."
    return join([header(run.name, about, sections.figures(run)), body])


def _of_several(runs: Sequence[Run], found: Sequence[Judged]) -> Html:
    body = in_sections(
        [
            ("Runs", sections.run_table(runs)),
            ("Summaries", sections.summaries_of_all(runs)),
            ("Curves", sections.curves_of_all(runs)),
            ("Samples", sections.samples(runs)),
            *_judged_sections(found),
            ("Reproduce", sections.commands(runs)),
            *((run.name, _part(run)) for run in runs),
        ]
    )
    title = runs[0].folder.path.resolve().parent.name
    trained = [run for run in runs if run.folder.exists()]
    kind = "training run" if len(trained) == len(runs) else "run or evaluation" if trained else "evaluation"
    several = " and ".join(f"{word}s" for word in kind.split(" or "))
    about = f"{len(runs)} {several} side by side, then each by itself." if len(runs) > 1 else f"One {kind}."
    return join([header(title, about), body])


def _part(run: Run) -> Html:
    """One run among several: what the sections over all runs do not show."""
    return join(
        [
            sections.figures(run),
            sections.summaries(run, explained=False),
            sections.likelihood(run),
            sections.curves(run),
            sections.details(run),
        ]
    )
