"""What a study found, as one HTML page and as Markdown: tables over seeds, paired differences, curves, samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from rot5.config import EvaluateConfig
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
from rot5.study.runs import Run as Made
from rot5.study.variant import VERBS
from rot5.train.run_folder import RunFolder

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

ABOUT_TASKS = (
    "Of every task the mean of its measure, 0 to 100, by the evaluation that it stands in; intervals over seeds."
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
        Table("Tasks", task_rows(results), task_columns(results), ABOUT_TASKS),
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
    timed = [
        Column("ratio", "Time of an update", digits=2),
        Column("seconds", "Seconds of pretraining", digits=0),
    ]
    return [
        Column("variant", "Variant", text=True),
        Column("parameters", "Parameters"),
        Column("steps", "Updates"),
        Column("story_tokens", "Story tokens"),
        *(timed if any(results["paces"].values()) else []),
        Column("seeds", "Seeds"),
        *(Column(key, metric(key).heading, digits=metric(key).digits) for key in keys),
    ]


def result_rows(results: Mapping[str, Any], finished: Finished) -> list[dict]:
    """One row per variant: updates and story tokens of pretraining or, where there is none, of tuning."""
    rows = []
    for name, figures in results["variants"].items():
        first = finished[name][0]
        runs = [Run(name, run.folder) for run in first.of("pretrain") or first.trained]
        steps, tokens = ([int(run.last(key) or 0) for run in runs] for key in ("step", "story_tokens"))
        paces = results["paces"][name]
        rows.append(
            {
                "variant": name,
                "parameters": Run(name, model_folder(first)).parameters,
                "steps": sum(steps) or None,
                "story_tokens": sum(tokens) or None,
                "ratio": fmean(pace["ratio"] for pace in paces) if paces else None,
                "seconds": sum(n * pace["seconds"] for n, pace in zip(steps, paces, strict=True)) if paces else None,
                "seeds": len({each.last.name for each in finished[name]}),
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


def model_folder(chain: Chain) -> RunFolder:
    """The run that a chain's model came out of, here or elsewhere."""
    config = chain.last.config
    return RunFolder(Path(config.model)) if isinstance(config, EvaluateConfig) else chain.last.folder


def task_columns(results: Mapping[str, Any]) -> list[Column]:
    """The task, and every variant that was asked it."""
    return [Column("task", "Task", text=True), *(Column(name, name, digits=1) for name in results["tasks"])]


def task_rows(results: Mapping[str, Any]) -> list[dict]:
    """One row per task."""
    keys = dict.fromkeys(key for of_one in results["tasks"].values() for key in of_one)
    return [
        {"task": key, **{name: _interval(of_one[key]) for name, of_one in results["tasks"].items() if key in of_one}}
        for key in keys
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
    tuning = tuple(verb for verb in VERBS if verb != "pretrain")
    for verbs, key, title, unit in (
        (("pretrain",), "eval/bits_per_byte", "Validation", "bits per byte"),
        (("pretrain",), "train/loss", "Training", "nats per target"),
        (tuning, "eval/bits_per_byte", "Validation of tuning", "bits per byte"),
    ):
        for along in ("story tokens", "seconds")[: 1 if verbs == tuning else 2]:
            series = []
            for n, (name, chains) in enumerate(finished.items()):
                paces = [pace["seconds"] for pace in results["paces"][name]]
                of_seeds = [curve(each.of(*verbs), key, paces if along == "seconds" else None) for each in chains]
                if points := mean_curve(of_seeds):
                    series.append(Series(name, points, n))
            if series:
                charts.append(Chart(f"{title}, by {along}", unit, series, along=along))
    return charts


def curve(runs: Sequence[Made], key: str, seconds_per_step: Sequence[float] | None = None) -> list[Point]:
    """A metric of a model's runs, one stage behind the other, along story tokens or, with the pace of each, seconds."""
    points, before = [], 0.0
    for number, run in enumerate(runs):
        metrics = run.folder.metrics()
        along = [
            each["story_tokens"] if seconds_per_step is None else each["step"] * seconds_per_step[number]
            for each in metrics
        ]
        points += [(before + x, each[key]) for x, each in zip(along, metrics, strict=True) if key in each]
        before += along[-1]
    return points


def mean_curve(of_seeds: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean over seeds of curves.

    Their n-th points count together: rows are packed by seed, so that the last steps of runs of one budget can be one
    apart.
    """
    return [
        (float(np.mean([x for x, _ in told])), float(np.mean([y for _, y in told])))
        for told in zip(*of_seeds, strict=False)
    ]


def samples(finished: Finished) -> Html | None:
    """What the first seed of each variant writes for the same inputs."""
    return sections.samples([Run(name, chains[0].last.folder) for name, chains in finished.items() if chains])
