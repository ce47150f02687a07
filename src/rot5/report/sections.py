"""The sections of a report, each of which is None where the run has nothing to show in it."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

from rot5.report.charts import STYLES, Chart, Series, line_chart
from rot5.report.html import Html, element, join
from rot5.report.runs import Run
from rot5.report.tables import (
    CLAIM_COLUMNS,
    COMPARED_COLUMNS,
    LIKELIHOOD_COLUMNS,
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    TASK_COLUMNS,
    TEXT_COLUMNS,
    cell,
    claim_rows,
    compared_rows,
    html_table,
    likelihood_notes,
    likelihood_rows,
    present,
    summary_rows,
    task_rows,
)

SAMPLES_SHOWN = 12


@dataclass(frozen=True)
class Curve:
    """What one chart shows of a run: all metrics that match, named by what the pattern's group matches."""

    title: str
    unit: str
    pattern: str
    log: bool = False
    zero: bool = False
    scale: float = 1
    form: str = ",.3f"

    def metrics(self, run: Run) -> dict[str, str]:
        """Line name -> metric key."""
        matches = [match for key in run.metric_keys() if (match := re.fullmatch(self.pattern, key))]
        found = {(match.group(1) or "overall"): match.group(0) for match in matches}
        only_part_of_all = len(found) == 2 and "overall" in found
        return {"overall": found["overall"]} if only_part_of_all else found


CURVES = (
    Curve("Training loss", "nats per target", r"(train)/loss", log=True),
    Curve("Evaluation loss", "nats per target", r"eval/(?:(.+)/)?loss", log=True),
    Curve("Bits per byte", "of the targets' text", r"eval/(?:(.+)/)?bits_per_byte", log=True),
    Curve("Learning rate", "", r"optim/(lr)", zero=True, form=".2g"),
    Curve("Speed", "story tokens per second", r"speed/(story_tokens)_per_second", zero=True, form=",.0f"),
    Curve("Fill", "% of positions with a token", r"data/(.+)_fill", scale=100, form=".1f"),
    Curve("Waiting for batches", "% of the time of training", r"data/(wait)_share", zero=True, scale=100, form=".2f"),
    Curve("Gradient norm", "before clipping", r"optim/(gradient_norm)", log=True),
)

SYSTEMS_EXPLAINED = (
    "empty says nothing; random is a reference of another example. "
    "lead-1 and lead-3 are the first sentences of the story. knows-all is the first reference, judged by the others, "
    "or by itself (and so 100) where there is only one. against are the other summaries, where some were given. "
    "references is each reference judged by the others: what one "
    "who writes like them can reach. Ends of 95 % intervals stand below each figure."
)
TEXT_EXPLAINED = (
    "Length is words by those of the mean reference. Coverage is the share of words in runs that the input has too, "
    "density the mean length of a word's run, novel the share of word pairs that the input has not, repeats the share "
    "of runs of 4 words that the same text has said before. BLEU and chrF take the best match among the references and "
    "so rise with their number: knows-all and references are judged by one reference fewer than the other systems."
)
CLAIMS_EXPLAINED = (
    "A claim is a content word in its role: a name, a thing, what it is like, what was done, where, and how one felt, "
    "the last feeling being the ending; others are in no role. Each figure is the share of such words that are true of "
    "the story. Invented is the share of content words that the story has nowhere; the other false ones are said of "
    "the wrong one, or say the word before once more."
)
COMPARED_EXPLAINED = (
    "Differences of the model less the other summaries of the same inputs; the model is better where the interval lies "
    "above 0."
)
LIKELIHOOD_EXPLAINED = (
    "Loss of the targets in natural logarithms, and in bits per byte of their text, which does not depend on the "
    "tokenizer. Ends of 95 % intervals over documents stand below each figure."
)


def figures(run: Run) -> Html | None:
    """The run in a few large numbers."""
    row = run.overview()
    cells = [(column.heading, cell(row[column.key], column)) for column in RUN_COLUMNS[1:]]
    items = [
        element("div", element("dt", heading), element("dd", found.value)) for heading, found in cells if found.value
    ]
    return element("dl", *items, class_="figures") if items else None


def run_table(runs: Sequence[Run]) -> Html:
    """One row per run."""
    return html_table(
        [run.overview() for run in runs],
        RUN_COLUMNS,
        "Each run at its end, with 95 % intervals where it was evaluated in full",
    )


def summaries(run: Run, explained: bool = True) -> Html | None:
    """Summaries of the model beside the baselines."""
    rows = summary_rows(run.summaries)
    return _summary_table(rows, run.summaries, explained) if rows else None


def summaries_of_all(runs: Sequence[Run]) -> Html | None:
    """The models of all runs in one table, and below them the baselines where all runs were judged alike."""
    judged = [run for run in runs if run.summaries.get("systems")]
    if len(judged) < 2:
        return None
    by_run = [{row["system"]: row for row in summary_rows(run.summaries)} for run in judged]
    rows = [
        systems["model"] | {"system": run.name}
        for run, systems in zip(judged, by_run, strict=True)
        if "model" in systems
    ]
    others = [{name: row for name, row in systems.items() if name != "model"} for systems in by_run]
    if all(other == others[0] for other in others):
        rows += others[0].values()
    told = {key: value for key, value in judged[0].summaries.items() if key not in ("compared", "tasks")}
    return _summary_table(rows, told, explained=True) if rows else None


def _summary_table(rows: Sequence[dict], told: dict, explained: bool) -> Html:
    examples = told.get("examples")
    caption = "Summaries" if examples is None else f"Summaries of {examples:,} examples"
    table = html_table(rows, SUMMARY_COLUMNS, caption)
    texts = len(present(rows, TEXT_COLUMNS)) > 1
    claims, compared = claim_rows({"systems": {row["system"]: row for row in rows}}), compared_rows(told)
    tables = [
        table,
        html_table(rows, TEXT_COLUMNS, "Text") if texts else None,
        html_table(claims, CLAIM_COLUMNS, "Claims that are true") if claims else None,
        html_table(tasks, TASK_COLUMNS, "Tasks") if (tasks := task_rows(told)) else None,
        html_table(compared, COMPARED_COLUMNS, "Compared, with paired 95 % intervals") if compared else None,
    ]
    table = join(tables)
    if not explained:
        return table
    settings = told.get("settings") or {}
    how = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in settings.items())
    return join(
        [
            table,
            element("p", SYSTEMS_EXPLAINED, class_="note"),
            element("p", TEXT_EXPLAINED, class_="note") if texts else None,
            element("p", CLAIMS_EXPLAINED, class_="note") if claims else None,
            element("p", COMPARED_EXPLAINED, class_="note") if compared else None,
            element("p", f"Settings: {how}.", class_="note") if how else None,
        ]
    )


def likelihood(run: Run) -> Html | None:
    """Loss and bits per byte, per denoiser."""
    rows = likelihood_rows(run.likelihood)
    if not rows:
        return None
    table = html_table(rows, LIKELIHOOD_COLUMNS, "Loss on the targets of examples of each kind")
    return join(
        [
            table,
            element("p", LIKELIHOOD_EXPLAINED, class_="note"),
            *(element("p", note, class_="note") for note in likelihood_notes(run.likelihood)),
        ]
    )


def curves(run: Run) -> Html | None:
    """Every chart of one run."""
    charts = []
    for curve in CURVES:
        series = [
            Series(name.replace("_", " "), run.points(key, curve.scale), n)
            for n, (name, key) in enumerate(curve.metrics(run).items())
        ]
        charts.append(_chart(curve, curve.title, series))
    return _grid(charts)


def curves_of_all(runs: Sequence[Run]) -> Html | None:
    """Charts with one line per run, of every metric that at least two runs have."""
    charts = []
    for curve in CURVES:
        keys = [curve.metrics(run) for run in runs]
        for name in dict.fromkeys(name for of_run in keys for name in of_run):
            series = [
                Series(run.name, run.points(of_run[name], curve.scale), n)
                for n, (run, of_run) in enumerate(zip(runs, keys, strict=True))
                if name in of_run
            ]
            several = len({other for of_run in keys for other in of_run}) > 1
            title = f"{curve.title}: {name.replace('_', ' ')}" if several else curve.title
            charts.append(_chart(curve, title, series) if len(series) > 1 else None)
    return _grid(charts)


def _chart(curve: Curve, title: str, series: Sequence[Series]) -> Html | None:
    return line_chart(Chart(title, curve.unit, series, log=curve.log, zero=curve.zero, form=curve.form))


def _grid(charts: Iterable[Html | None]) -> Html | None:
    drawn = [chart for chart in charts if chart is not None]
    return element("div", *drawn, class_="charts") if drawn else None


def samples(runs: Sequence[Run]) -> Html | None:
    """Inputs with what each run made of them, beside the references."""
    texts: dict[tuple, list[tuple[int, dict]]] = {}
    for n, run in enumerate(runs):
        for sample in run.samples:
            texts.setdefault((sample["index"], sample["input"]), []).append((n, sample))
    if not texts:
        return None
    shown = sorted(texts.values(), key=len, reverse=True)[:SAMPLES_SHOWN]
    note = f"The first {len(shown)} of {len(texts):,}." if len(texts) > len(shown) else None
    return join([element("p", note, class_="note") if note else None, *(_sample(of_one, runs) for of_one in shown)])


def _sample(of_one: Sequence[tuple[int, dict]], runs: Sequence[Run]) -> Html:
    sample = of_one[0][1]
    label = f"Input {sample['index']}"
    story = element("div", *_paragraphs(sample["input"]), class_="story", tabindex=0, role="region", aria_label=label)
    written = []
    for n, prediction in of_one:
        title = runs[n].name if len(runs) > 1 else "Prediction"
        share = prediction.get("content_true")
        judged = element("span", f"{share:.0f} % of content words true") if share is not None else None
        heading = element("h3", title, judged)
        written.append(
            element("div", heading, *_paragraphs(prediction["prediction"]), class_=f"written edge-{n % STYLES}")
        )
    references = [element("li", text, dir="auto") for text in sample.get("references") or []]
    if references:
        heading = element("h3", "References" if len(references) > 1 else "Reference")
        written.append(element("div", heading, element("ul", *references), class_="references"))
    return element("article", element("div", element("h3", label), story), element("div", *written), class_="sample")


def _paragraphs(text: str) -> list[Html]:
    found = [element("p", part, dir="auto") for part in re.split(r"\n+", text.strip()) if part.strip()]
    return found or [element("p", "(nothing)", class_="note")]


def commands(runs: Sequence[Run]) -> Html | None:
    """The command lines that made the runs."""
    lines = [shlex.join(run.command) for run in runs if run.command]
    return element("pre", element("code", "\n".join(lines)), tabindex=0) if lines else None


def details(run: Run) -> Html | None:
    """Settings and machine, folded away."""
    environment = {key: value for key, value in run.environment.items() if key != "command"}
    parts = [_folded("Configuration", run.config), _folded("Environment", environment)]
    return join(parts) if any(parts) else None


def _folded(title: str, values: dict) -> Html | None:
    if not values:
        return None
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return element("details", element("summary", title), element("pre", text, tabindex=0))
