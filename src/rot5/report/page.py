"""The report of a run, or of a folder of runs: one HTML file that needs nothing outside itself."""

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from rot5.report import sections
from rot5.report.html import Html, element, join
from rot5.report.runs import Run, find_runs

_NOTHING_FROM_OUTSIDE = "default-src 'none'; style-src 'unsafe-inline'"

Section = tuple[str, Html | None]


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder, or into a folder of run folders, and return its path.

    A run folder has a config.yaml; whatever else a run has not written yet is left out. Raises UserError where there is
    no run.
    """
    runs = find_runs(folder)
    title = folder.resolve().name
    page = _page(title, _of_one(runs[0]) if runs[0].folder.path == folder else _of_several(runs))
    path = folder / "report.html"
    partial = folder / "partial-report.html"
    partial.write_bytes(page.encode("utf-8", errors="replace"))
    os.replace(partial, path)
    return path


def _of_one(run: Run) -> Html:
    body = _sections(
        [
            ("Summaries", sections.summaries(run)),
            ("Likelihood", sections.likelihood(run)),
            ("Curves", sections.curves(run)),
            ("Samples", sections.samples([run])),
            ("Reproduce", sections.commands([run])),
            ("Settings", sections.details(run)),
        ]
    )
    about = "One training run: its results, how it got there, and what it takes to repeat it."
    return join([_header(run.name, about), sections.figures(run), body])


def _of_several(runs: Sequence[Run]) -> Html:
    body = _sections(
        [
            ("Runs", sections.run_table(runs)),
            ("Summaries", sections.summaries_of_all(runs)),
            ("Curves", sections.curves_of_all(runs)),
            ("Samples", sections.samples(runs)),
            ("Reproduce", sections.commands(runs)),
            *((run.name, _part(run)) for run in runs),
        ]
    )
    title = runs[0].folder.path.resolve().parent.name
    about = f"{len(runs)} training runs side by side, then each by itself." if len(runs) > 1 else "One training run."
    return join([_header(title, about), body])


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


def _header(title: str, about: str) -> Html:
    return element("header", element("p", "ROT5 report", class_="kicker"), element("h1", title), element("p", about))


def _sections(parts: Sequence[Section]) -> Html:
    """Sections under headings, and links to them above."""
    shown = [(f"section-{n}", title, content) for n, (title, content) in enumerate(parts) if content]
    links = [element("li", element("a", title, href=f"#{anchor}")) for anchor, title, _ in shown]
    return join(
        [
            element("nav", element("ul", *links), aria_label="Sections"),
            element(
                "main",
                *(element("section", element("h2", title), content, id=anchor) for anchor, title, content in shown),
            ),
        ]
    )


def _page(title: str, body: Html) -> Html:
    style = resources.files("rot5.report").joinpath("style.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_NOTHING_FROM_OUTSIDE),
        element("title", f"{title} · ROT5 report"),
        element("style", Html(style)),
    )
    return Html(f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}\n")
