"""What a study found, as one HTML page and as Markdown: tables over seeds, paired differences, curves, samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rot5.report import sections
from rot5.report.charts import Chart, Point, Series, line_chart
from rot5.report.frame import Section, header, in_sections, write_html
from rot5.report.html import Html, element, join
from rot5.report.markdown import markdown_table
from rot5.report.plots import Gallery
from rot5.report.runs import Run
from rot5.report.scaling import scaling_charts
from rot5.report.tables import Column, Table, html_table
from rot5.study import law
from rot5.study.compare import metric
from rot5.study.runs import Chain

LOSS = "bits per byte"

Finished = Mapping[str, Sequence[Chain]]

ABOUT_INTERVALS = (
    "Means over seeds, with 95 % intervals of Student's t over seeds: what another seed would do, on these same "
    "validation texts. Intervals over texts are in the report of each run."
)
ABOUT_DIFFERENCES = (
    "Differences are taken seed by seed: with one corpus, seed s of a variant reads the same text in the same order as "
    "seed s of what it is compared with. A difference whose interval holds 0 is within noise. Many comparisons stand "
    "here: of twenty that are nothing, one will look like something."
)
ABOUT_SECONDS = (
    "Seconds are updates times the time of an update, which was measured for each variant side by side with the "
    "baseline's; the noise of the hours in which runs were made is not in them."
)
ABOUT_REACH = (
    "At learning rates that have fully decayed: the share of the baseline's largest budget with which a run ends at "
    "the baseline's final loss, read off a line through the ends of runs over the logarithm of their tokens, seed by "
    "seed. A share beyond the budgets that were run is an extrapolation, and counted."
)
ABOUT_TUNING = (
    "Each setting was tried with the first seed; bits per byte of the validation targets, the same that the tables "
    "above are of, decided. Variants that differ in their budget alone share what was found at the first of them."
)

DIFFERENCE_COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("against", "Against", text=True),
    Column("metric", "Figure", text=True),
    Column("difference", "Difference", digits=4),
    Column("seeds", "Seeds"),
    Column("verdict", "Verdict", text=True),
)
REACH_COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("tokens", "Of its tokens,\u00a0%", digits=0, scale=100),
    Column("seconds", "Of its seconds,\u00a0%", digits=0, scale=100),
    Column("seeds", "Seeds"),
    Column("beyond", "Extrapolated"),
)
TUNING_COLUMNS = (
    Column("variant", "Variant", text=True),
    Column("setting", "Setting", text=True),
    Column("share", "Of the budget,\u00a0%", digits=0, scale=100),
    Column("score", "Bits per byte", digits=4),
    Column("chosen", "", text=True),
)


def write_page(out: Path, results: Mapping[str, Any], finished: Finished, command: str, markdown: str) -> Path:
    """Write `report.html` into a study's folder, and the same as Markdown where asked; return the page's path."""
    tables = [table for table in _tables(results, finished) if table.rows]
    if markdown:
        _write_markdown(Path(markdown), results, finished, tables, command)
    shown: list[Section] = [
        (table.title, join([html_table(table.rows, table.columns, table.title), _note(table.about)]))
        for table in tables
    ]
    if "law" in results:
        shown.insert(0, ("Scaling", _charts(scaling_charts(results["law"], LOSS))))
    shown += [
        ("Curves", join([_charts(curves(results, finished)), _note(ABOUT_SECONDS)])),
        ("Samples", samples(finished)),
        ("Reproduce", element("pre", element("code", command), tabindex=0)),
    ]
    return write_html(out, results["study"], join([header(results["study"], results["about"]), in_sections(shown)]))


def _tables(results: Mapping[str, Any], finished: Finished) -> list[Table]:
    tables = [
        Table("Result", result_rows(results, finished), result_columns(results), ABOUT_INTERVALS),
        Table("Differences", difference_rows(results), DIFFERENCE_COLUMNS, ABOUT_DIFFERENCES),
        Table("As good as the baseline", reach_rows(results), REACH_COLUMNS, ABOUT_REACH),
        Table("Tuning", tuning_rows(results), TUNING_COLUMNS, ABOUT_TUNING),
    ]
    if "law" in results:
        found = results["law"]
        tables += [
            Table("Law", law.constant_rows(found), law.CONSTANT_COLUMNS, law.ABOUT_LAW),
            Table("Runs and law", law.prediction_rows(found), law.PREDICTION_COLUMNS, law.ABOUT_ERRORS),
            Table("Best sizes", law.minimum_rows(found), law.MINIMUM_COLUMNS, law.ABOUT_MINIMA),
        ]
    return tables


def _write_markdown(
    path: Path, results: Mapping[str, Any], finished: Finished, tables: Sequence[Table], command: str
) -> None:
    """The tables, and the charts as files beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gallery = Gallery(path.parent, path.stem)
    if "law" in results:
        for chart in scaling_charts(results["law"], LOSS):
            gallery.add(chart)
    for chart in curves(results, finished):
        gallery.add(chart)
    parts = [f"# {results['study']}", results["about"], f"Written by `{command}`."]
    for table in tables:
        parts += [f"## {table.title}", table.about, markdown_table(table.rows, table.columns)]
    parts += ["## Curves", ABOUT_SECONDS, *(f"![{title}]({file.name})" for title, file in gallery.saved)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _charts(charts: Sequence[Chart]) -> Html:
    return element("div", *map(line_chart, charts), class_="charts")


def _note(text: str) -> Html:
    return element("p", text, class_="note")


def _interval(found: Mapping[str, Any]) -> object:
    """A mean with its interval where there is one."""
    return found["mean"] if found["low"] is None else {key: found[key] for key in ("mean", "low", "high")}


def result_columns(results: Mapping[str, Any]) -> list[Column]:
    """What every variant is shown by: its size, its cost, and all figures."""
    keys = dict.fromkeys(key for figures in results["variants"].values() for key in figures)
    return [
        Column("variant", "Variant", text=True),
        Column("parameters", "Parameters"),
        Column("steps", "Updates"),
        Column("story_tokens", "Story tokens"),
        Column("ratio", "Time of an update", digits=2),
        Column("seeds", "Seeds"),
        *(Column(key, metric(key).heading, digits=metric(key).digits) for key in keys),
    ]


def result_rows(results: Mapping[str, Any], finished: Finished) -> list[dict]:
    """One row per variant."""
    rows = []
    for name, figures in results["variants"].items():
        run = Run(name, finished[name][0].pretrain.folder)
        rows.append(
            {
                "variant": name,
                "parameters": run.parameters,
                "steps": run.last("step"),
                "story_tokens": run.last("story_tokens"),
                "ratio": results["paces"][name]["ratio"],
                "seeds": len(finished[name]),
                **{key: _interval(found) for key, found in figures.items()},
            }
        )
    return rows


def difference_rows(results: Mapping[str, Any]) -> list[dict]:
    """One row per variant and figure."""
    return [
        {
            "variant": name,
            "against": results["against"][name],
            "metric": metric(key).heading,
            "difference": _interval(found),
            "seeds": found["seeds"],
            "verdict": found["verdict"],
        }
        for name, figures in results["differences"].items()
        for key, found in figures.items()
    ]


def reach_rows(results: Mapping[str, Any]) -> list[dict]:
    """One row per family; a share that is never reached is left empty."""
    return [
        {
            "variant": family,
            **{key: _interval(found[key]) for key in ("tokens", "seconds")},
            "seeds": found["seeds"],
            "beyond": found["beyond"],
        }
        for family, found in results["reach"].items()
    ]


def tuning_rows(results: Mapping[str, Any]) -> list[dict]:
    """One row per trial."""
    return [
        {
            "variant": name,
            "setting": ", ".join(f"{key} {value}" for key, value in trial["changes"].items()),
            "share": found["share"],
            "score": trial["score"],
            "chosen": _chosen(found) if trial["changes"] == found["chosen"] else "",
        }
        for name, found in results["tuned"].items()
        for trial in found["trials"]
    ]


def _chosen(found: Mapping[str, Any]) -> str:
    return "chosen, at the end of what was tried" if found["at_edge"] else "chosen"


def curves(results: Mapping[str, Any], finished: Finished) -> list[Chart]:
    """Validation and training loss of every variant, by story tokens and by seconds, as means over seeds."""
    charts = []
    for verb, key, title, unit in (
        ("pretrain", "eval/bits_per_byte", "Validation", "bits per byte"),
        ("pretrain", "train/loss", "Training", "nats per target"),
        ("finetune", "eval/bits_per_byte", "Validation of tuning", "bits per byte"),
    ):
        runs = {
            name: [Run(name, run.folder) for each in chains for run in each.runs if run.verb == verb]
            for name, chains in finished.items()
        }
        for along in ("story tokens", "seconds")[: 1 if verb == "finetune" else 2]:
            series = [
                Series(name, mean_curve(of_one, key, along, results["paces"][name]["seconds"]), n)
                for n, (name, of_one) in enumerate(runs.items())
                if of_one
            ]
            charts.append(Chart(f"{title}, by {along}", unit, series, along=along))
    return charts


def mean_curve(runs: Sequence[Run], key: str, along: str, seconds_per_step: float) -> list[Point]:
    """The mean over runs of a metric, along story tokens or seconds.

    The n-th time that it was told counts together: rows are packed by seed, so that the last steps of runs of one
    budget can be one apart.
    """
    points = []
    for told in zip(*([record for record in run.metrics if key in record] for run in runs), strict=False):
        x = [each["step"] * seconds_per_step if along == "seconds" else each["story_tokens"] for each in told]
        points.append((float(np.mean(x)), float(np.mean([each[key] for each in told]))))
    return points


def samples(finished: Finished) -> Html | None:
    """What the first seed of each variant writes for the same inputs."""
    return sections.samples([Run(name, chains[0].last.folder) for name, chains in finished.items() if chains])
