"""Run folders as they are followed: found at any depth, read on, begun anew when replaced, a bounded part at once."""

import json

import pytest

from rot5.page import runs
from rot5.page.runs import Board, Metrics, curves_html, find, newest, table_html


def record(step: int, **more: float) -> bytes:
    return (json.dumps({"step": step, "story_tokens": 10 * step, "train/loss": 1 / step, **more}) + "\n").encode()


@pytest.fixture
def folder(tmp_path):
    for name, verb in (("a/b/one", "pretrain"), ("two", "finetune")):
        run = tmp_path / name
        run.mkdir(parents=True)
        (run / "config.yaml").write_text("derived: {parameters: 7}")
        (run / "environment.json").write_text(json.dumps({"command": ["rot5", verb]}))
        (run / "metrics.jsonl").write_bytes(record(1) + record(2))
    (tmp_path / "two" / "export").mkdir()
    (tmp_path / "two" / "export" / "eval.json").write_text("{}")
    (tmp_path / "partial-three").mkdir()
    (tmp_path / "partial-three" / "config.yaml").write_text("{}")
    return tmp_path


def test_metrics_are_read_on_and_begun_anew_when_replaced(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = Metrics(path)
    assert not metrics.read_on()
    path.write_bytes(record(1) + record(2)[:-5])
    assert metrics.read_on() and metrics.curves["train/loss"] == [(10, 1.0)]
    assert not metrics.read_on()
    path.write_bytes(record(1) + record(2))
    assert metrics.read_on() and metrics.last["step"] == 2 and len(metrics.curves["train/loss"]) == 2
    other = tmp_path / "other"
    other.write_bytes(record(9) + b"no json\n[1]\n" + record(10) + record(11) + record(12))
    other.replace(path)
    assert metrics.read_on() and [along for along, _ in metrics.curves["train/loss"]] == [90, 100, 110, 120]


def test_a_look_reads_so_much_and_keeps_so_many_points(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MOST_READ", 2000)
    monkeypatch.setattr(runs, "MOST_POINTS", 40)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(record(step, **{"eval/loss": 99.0 if step == 77 else 1.0}) for step in range(1, 200)))
    metrics, looks = Metrics(path), 0
    while metrics.read_on():
        looks += 1
    assert looks > 5 and metrics.last["step"] == 199
    points = metrics.curves["eval/loss"]
    assert len(points) <= 40 and (770, 99.0) in points and points[-1][0] == 1990


def test_runs_are_found_below_a_folder_and_not_in_runs(folder, monkeypatch):
    assert [name for name, _ in find(folder)] == ["two", "a/b/one"]
    assert [name for name, _ in find(folder / "two")] == ["two"]
    assert not list(find(folder / "nowhere"))
    monkeypatch.setattr(runs, "DEPTH", 2)
    assert [name for name, _ in find(folder)] == ["two"]


def test_a_board_tells_what_is_new(folder):
    board = Board(folder)
    version, found = board.refresh()
    assert [watched.name for watched in found] == ["a/b/one", "two"] and newest(found, 1) == ["two"]
    assert found[0].row() == {"run": "a/b/one", "kind": "pretrain", "state": "not finished", "parameters": 7,
                              "step": 2, "loss": None, "bits_per_byte": None, "rougeL": None,
                              "speed": None}  # fmt: skip
    assert board.refresh()[0] == version
    (folder / "two" / "eval.json").write_text(json.dumps({
        "summaries": {"systems": {"model": {"rougeL": {"mean": 30.5, "low": 30, "high": 31}}}},
        "likelihood": {"overall": {"loss": {"mean": 0.5}, "bits_per_byte": 0.25}}}))  # fmt: skip
    later, found = board.refresh()
    row = found[1].row()
    assert later > version and row["state"] == "done"
    assert (row["loss"], row["bits_per_byte"], row["rougeL"]) == (0.5, 0.25, 30.5)
    (folder / "two" / "config.yaml").write_text("[: no yaml")
    assert board.refresh()[1][1].row()["kind"] == "unreadable"


def test_what_takes_long_is_left_to_the_next_look(folder, monkeypatch):
    monkeypatch.setattr(runs, "SECONDS", -1.0)
    board = Board(folder)
    _, found = board.refresh()
    assert all(watched.row()["kind"] is None and watched.metrics.curves for watched in found)
    monkeypatch.setattr(runs, "SECONDS", 1.0)
    assert board.refresh()[1][0].row()["kind"] == "pretrain"


def test_tables_and_curves(folder):
    _, found = Board(folder).refresh()
    table, curves = table_html(found, folder), curves_html(found)
    assert '<th scope="row" class="text">a/b/one</th>' in table and "Runs in" in table
    assert "Training loss" in curves and "a/b/one: 1.000 at tokens 10, 0.500 at tokens 20." in curves
    assert "Evaluation loss" not in curves
    with (folder / "two" / "metrics.jsonl").open("ab") as file:
        file.write(record(3, **{"eval/loss": 2.0}))
    assert "Evaluation loss: two" in curves_html(Board(folder).refresh()[1])
    assert "Choose a run" in curves_html([]) and "There is no run in" in table_html([], folder)
