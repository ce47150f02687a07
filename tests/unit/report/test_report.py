"""Reports: complete, escaped, self-contained, and content with whatever a run has written."""

import io
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from rot5.errors import UserError
from rot5.report.charts import Chart, Series, line_chart, linear_axis, log_axis, thinned
from rot5.report.html import element
from rot5.report.page import write_report
from rot5.report.tables import SUMMARY_COLUMNS, Column, cell, html_table, present, summary_rows, text_table

VOID = {"meta", "br"}
HOSTILE = (
    '<script src="https://evil.example/x.js">alert(1)</script> & "quotes" \' <img src=http://evil.example onerror=x>'
)
ACTIVE = {"script", "img", "link", "iframe", "object", "embed", "base", "form", "audio", "video", "image", "use"}


class Page(HTMLParser):
    """A parsed page: elements with their attributes, and texts; fails on tags that do not match."""

    def __init__(self, path: Path):
        super().__init__()
        self.unclosed, self.elements, self.texts, self.style = [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.unclosed

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.unclosed.append(tag)

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def handle_data(self, data):
        if self.unclosed[-1:] == ["style"]:
            self.style += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def interval(mean: float) -> dict:
    return {"mean": mean, "low": mean - 1, "high": mean + 1}


def system(figure: float) -> dict:
    names = ("rouge1", "rouge2", "rougeL", "rougeLsum", "content_true", "content_covered")
    return {"examples": 300, "words": 20.5} | {name: interval(figure) for name in names}


def evaluation(figure: float) -> dict:
    kind = {"loss": interval(1.5), "bits_per_byte": interval(0.52), "targets": 1234, "bytes": 5678}
    systems = {"model": system(figure), "lead-1": system(31.25), "knows-all": system(61.5)}
    return {
        "likelihood": {"overall": kind | {"share_of_targets": 1.0}, "R": kind | {"share_of_targets": 0.25}},
        "summaries": {"settings": {"use_stemmer": True}, "examples": 300, "systems": systems},
    }


def make_run(
    path: Path, *, figure: float = 44.44, story: str = "Tom ran.", kinds: tuple[str, ...] = ("R", "S")
) -> Path:
    path.mkdir(parents=True)
    config = {"derived": {"parameters": 3456789}, "train": {"steps": 40}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "environment.json").write_text(
        json.dumps({"torch": "9.8.7", "command": ["rot5", "train", "--title", "a b"]})
    )
    lines = []
    for step in range(10, 41, 10):
        at = {"step": step, "seconds": step * 3.0, "story_tokens": step * 100}
        train = {"train/loss": 8 / step, "speed/story_tokens_per_second": 900.0, "optim/lr": 1e-3}
        fill = {"data/encoder_fill": 0.97, "data/decoder_fill": 0.95}
        by_kind = {f"eval/{kind}/loss": 7 / step for kind in kinds}
        lines += [at | train | fill, at | {"eval/loss": 9 / step, "eval/bits_per_byte": 3 / step} | by_kind]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (path / "eval.json").write_text(json.dumps(evaluation(figure)))
    sample = {"index": 5, "input": story, "references": ["A ran.", "Tom is fast."], "prediction": f"{path.name} says."}
    (path / "samples.jsonl").write_text(json.dumps(sample | {"content_true": 87.5}) + "\n")
    return path


def test_a_run_shows_all_its_parts(tmp_path):
    page = Page(write_report(make_run(tmp_path / "first-run")))
    figures = ("3,456,789", "44.4", "43.4 to 45.4", "31.2", "25.0", "300 examples", "use stemmer: True")
    texts = ("Tom ran.", "Tom is fast.", "first-run says.", "88 % of content words true", "rot5 train --title 'a b'")
    charts = ("Training loss", "Evaluation loss", "Bits per byte", "Learning rate", "Speed", "Fill")
    for expected in (*figures, *texts, *charts, "first-run", "torch: 9.8.7", "steps: 40"):
        assert expected in page.text, expected
    assert page.count("figure") == len(charts)
    assert page.count("table") == 2


def test_it_is_readable_by_all(tmp_path):
    page = Page(write_report(make_run(tmp_path / "run")))
    assert ("html", {"lang": "en"}) in page.elements
    assert all(attrs.get("scope") in ("row", "col") for tag, attrs in page.elements if tag == "th")
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert all(attrs.get("role") == "img" or attrs.get("aria-hidden") == "true" for attrs in pictures)
    assert "Training loss, nats per target, logarithmic scale" in page.text
    assert "train: 0.800 at step 10, 0.200 at step 40." in page.text
    assert page.count("caption") == page.count("table")
    assert "prefers-color-scheme: dark" in page.style


@pytest.mark.parametrize("several", [False, True])
def test_nothing_comes_from_outside_and_texts_stay_texts(tmp_path, several):
    run = make_run(tmp_path / "runs" / '<b id="x">', story=HOSTILE)
    sample = {"index": 6, "input": "s", "references": [HOSTILE], "prediction": HOSTILE}
    with (run / "samples.jsonl").open("a") as lines:
        lines.write(json.dumps(sample) + "\n")
    (run / "config.yaml").write_text(yaml.safe_dump({"title": "<u>titled"}))
    (run / "environment.json").write_text(json.dumps({"device": "<s>machine", "command": ["rot5", "'x'", "<i>"]}))
    evaluated = {"likelihood": {HOSTILE: {"loss": 1.5}}, "summaries": {"systems": {HOSTILE: system(1)}}}
    (run / "eval.json").write_text(json.dumps(evaluated))
    (run / "metrics.jsonl").write_text(json.dumps({"step": 1, f"eval/{HOSTILE}/loss": 1.0, "eval/x/loss": 1.0}) + "\n")
    page = Page(write_report(run.parent if several else run))
    for expected in ("<u>titled", "<s>machine", '<b id="x">', "<i>"):
        assert expected in page.text, expected
    # An input, a reference, a prediction, a row of each table, and a line of a chart with its mark.
    assert page.text.count(HOSTILE) >= 7
    assert {tag for tag, _ in page.elements}.isdisjoint(ACTIVE | {"i", "u", "s"})
    for _, attrs in page.elements:
        assert not any(name.startswith("on") or name in ("src", "srcset", "action", "xlink:href") for name in attrs)
        assert attrs.get("href", "#").startswith("#")
    assert "url(" not in page.style and "@import" not in page.style
    policy = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


@pytest.mark.parametrize(
    ("missing", "told_by_it"),
    [
        ("environment.json", "9.8.7"),
        ("metrics.jsonl", "Training loss, nats"),
        ("eval.json", "ROUGE-2"),
        ("samples.jsonl", "Samples"),
    ],
)
def test_each_file_may_be_missing(tmp_path, missing, told_by_it):
    run = make_run(tmp_path / "run")
    assert told_by_it in Page(write_report(run)).text
    (run / missing).unlink()
    assert told_by_it not in Page(write_report(run)).text


@pytest.mark.parametrize(
    "content",
    [
        {"likelihood": {}, "summaries": {}},
        {"likelihood": {"overall": {"loss": interval(1)}}},
        {"likelihood": {"documents": 5}},
        {"summaries": {"systems": {"model": {"examples": 1, "rouge1": interval(1)}}}},
        {"summaries": {"systems": {"lead-1": system(3)}}},
        {"summaries": {"examples": 3}},
    ],
)
def test_each_part_of_an_evaluation_may_be_missing(tmp_path, content):
    for name in ("a", "b"):
        (make_run(tmp_path / "runs" / name) / "eval.json").write_text(json.dumps(content))
    assert "Training loss" in Page(write_report(tmp_path / "runs")).text
    assert "Training loss" in Page(write_report(tmp_path / "runs" / "a")).text


def test_a_run_that_only_just_began_has_a_report(tmp_path):
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("train: {steps: 3}\n")
    assert "steps: 3" in Page(write_report(run)).text
    assert "steps: 3" in Page(write_report(run.parent)).text
    (run / "config.yaml").write_text("")
    assert "run" in Page(write_report(run)).text


def test_a_torn_line_no_number_and_a_lone_surrogate_do_no_harm(tmp_path):
    run = make_run(tmp_path / "run", story="bad \ud800 text")
    with (run / "metrics.jsonl").open("a") as lines:
        lines.write('{"step": 50, "train/loss": NaN}\n{"step": 6')
    page = Page(write_report(run))
    assert "nan" in page.texts
    assert "bad ? text" in page.text


def test_a_folder_of_runs_is_an_overview_then_each_run(tmp_path):
    folder = tmp_path / "demo"
    for n in (10, 2, 1):
        make_run(folder / f"run-{n}", figure=40.5 + n, kinds=("R", "X") if n == 10 else ("R", "S"))
    (folder / "corpus").mkdir()
    page = Page(write_report(folder))
    names = [text for text in page.texts if text in ("run-1", "run-2", "run-10")]
    assert names[:3] == ["run-1", "run-2", "run-10"]
    assert "3 training runs" in page.text
    # Baselines are the same in all runs: once in the table over all runs, then once in each run.
    assert page.texts.count("lead-1") == 1 + 3
    for n in (1, 2, 10):
        assert f"run-{n} says." in page.texts
        assert f"{40.5 + n:.1f}" in page.texts
    # Two runs have S, and so it is compared; one has X.
    assert "Evaluation loss: S" in page.texts
    assert "Evaluation loss: X" not in page.texts
    assert page.texts.count("Tom ran.") == 1


def test_the_only_kind_of_examples_is_not_drawn_beside_the_overall_loss(tmp_path):
    assert "pairs" not in Page(write_report(make_run(tmp_path / "tune", kinds=("pairs",)))).texts
    assert "S" in Page(write_report(make_run(tmp_path / "pretrain", kinds=("R", "S")))).texts


def test_baselines_that_differ_are_left_to_each_run(tmp_path):
    folder = tmp_path / "demo"
    make_run(folder / "a")
    other = evaluation(50)
    other["summaries"]["systems"]["lead-1"] = system(1)
    (make_run(folder / "b") / "eval.json").write_text(json.dumps(other))
    assert Page(write_report(folder)).texts.count("lead-1") == 2


def test_a_report_is_replaced_and_the_same_for_the_same_run(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    first = write_report(run).read_bytes()
    shutil.copytree(run, tmp_path / "copy" / "run")
    monkeypatch.chdir(tmp_path / "copy" / "run")
    assert write_report(Path(".")).read_bytes() == first
    assert not list(Path(".").glob("partial-*"))


def test_no_run_is_a_users_error(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        write_report(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


def test_terminal_and_page_show_the_same_figures():
    rows = [*summary_rows(evaluation(44.44)["summaries"]), {"system": "[b]odd[/b] <b>"}]
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(text_table(rows, SUMMARY_COLUMNS, "Summaries"))
    printed = console.export_text()
    written = html_table(rows, SUMMARY_COLUMNS, "Summaries")
    for row in rows[:-1]:
        for column in SUMMARY_COLUMNS:
            found = cell(row.get(column.key), column)
            assert found.value in printed
            assert f">{found.value}<" in written
            if found.low:
                assert f"{found.low}\u2013{found.high}" in printed
                assert f"{found.low} to {found.high}" in written
    assert "[b]odd[/b] <b>" in printed
    assert "[b]odd[/b] &lt;b&gt;" in written


def test_summaries_fit_a_terminal_of_80_characters_without_intervals():
    rows = [{"system": "references"} | system(100.0)]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(text_table(rows, SUMMARY_COLUMNS, intervals=False))
    printed = console.export_text()
    assert "\u2026" not in printed and "\u2013" not in printed
    assert "ROUGE-Lsum" in printed and "references" in printed


def test_cells_say_what_their_values_are():
    assert cell(1234567, Column("n", "N")) == ("1,234,567", "", "")
    assert cell(0.12345, Column("n", "N", digits=1, scale=100)) == ("12.3", "", "")
    assert cell({"mean": 0.5, "low": 0.25, "high": 0.75}, Column("n", "N", scale=100)) == ("50.0", "25.0", "75.0")
    assert cell(None, Column("n", "N")).value == ""
    assert cell(math.nan, Column("n", "N")).value == "nan"
    assert present([{"a": 1}, {"b": None}], [Column("a", "A"), Column("b", "B")]) == [Column("a", "A")]


def test_axes_have_round_ticks_and_hold_all_values():
    assert linear_axis(0, 100).ticks == (0, 25, 50, 75, 100)
    assert linear_axis(0.9501, 0.9799).ticks == (0.95, 0.96, 0.97, 0.98)
    assert linear_axis(3, 3).low < 3 < linear_axis(3, 3).high
    for low, high in ((1e-5, 1e-3), (-3, 7), (1.2, 1.3), (0, 12345)):
        axis = linear_axis(low, high)
        assert axis.low <= low and axis.high >= high and 2 <= len(axis.ticks) <= 7
    axis = log_axis(1.45, 7.6)
    assert axis.ticks == (1.5, 2, 3, 5, 7)
    assert axis.share(math.sqrt(axis.low * axis.high)) == pytest.approx(0.5)


def test_an_axis_of_another_name_and_scale():
    dots = Series("runs", [(1e6, 3.0), (1e7, 2.0), (1e8, 1.5)], dots=True)
    law = Series("law", [(1e6, 2.9), (1e8, 1.4)], 1)
    chart = line_chart(Chart("Loss", "nats", [dots, law], along="parameters", log_along=True))
    assert chart is not None
    assert ">parameters</text>" in chart and ">10 M</text>" in chart and "1.500 at parameters" in chart
    places = [float(x) for x in re.findall(r'<circle[^>]* cx="([\d.]+)"', chart)][:3]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    runs, fitted = chart.split("color-1")[0], chart.split("color-1")[1]
    assert runs.count('<path d="M') == runs.split("</g>")[0].count('<path d="M'), "dots have no line"
    assert "<path" in fitted


def test_a_line_goes_through_its_points():
    chart = line_chart(Chart("Loss", "nats", [Series("a", [(0, 0.0), (50, 2.0), (100, 4.0)])]))
    assert chart is not None
    # The frame is 488 wide from 58 on, and 218 high down to 228.
    assert 'd="M58.0 228.0L302.0 119.0L546.0 10.0"' in chart
    assert line_chart(Chart("Loss", "nats", [Series("a", [])])) is None
    assert line_chart(Chart("Loss", "nats", [Series("a", [(1, math.nan)])])) is None
    assert line_chart(Chart("Loss", "nats", [Series("a", [(0, 1.0)])])) is not None


def test_thinning_keeps_spikes_and_the_last_point():
    points = [(n, 1.0) for n in range(10_000)]
    points[1234] = (1234, 9.0)
    points[4321] = (4321, 0.1)
    kept = thinned(points)
    assert {points[1234], points[4321], points[-1]} <= set(kept)
    assert len(kept) <= 802
    assert kept == sorted(kept)
    assert thinned(points[:5]) == points[:5]


def test_elements_escape_what_is_not_an_element():
    found = element("p", "<&\">'", element("b", "x"), None, title="\"<'&", name="n", class_=None)
    assert found == '<p title="&quot;&lt;&#x27;&amp;" name="n">&lt;&amp;&quot;&gt;&#x27;<b>x</b></p>'
