"""`rot5 evaluate --predictions` as users call it: summaries that somebody else wrote, scored and compared."""

import json
import shutil
from pathlib import Path

import pytest

from rot5.data.corpus import PairCorpus
from rot5.evaluation.baselines import lead
from rot5.evaluation.facts import content
from rot5.evaluation.summaries import compare_predictions, score_summaries
from rot5.train.run_folder import RunFolder


@pytest.fixture
def place(corpora, tmp_path, monkeypatch) -> Path:
    """A working folder with the pairs `held-out`, and predictions of them as text and as JSON lines."""
    shutil.copytree(corpora / "held-out", tmp_path / "held-out")
    pairs = list(PairCorpus.open(corpora / "held-out").references())
    first = [lead(pair.input, 1) for pair in pairs]
    (tmp_path / "first.txt").write_text("\n".join(first) + "\n")
    rows = [{"index": pair.index, "input": pair.input, "prediction": pair.target} for pair in pairs]
    (tmp_path / "known.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluation(folder: str) -> dict:
    return json.loads(Path(folder, "eval.json").read_text())


def written_samples() -> list[str]:
    return [json.loads(line)["prediction"] for line in Path("scores/samples.jsonl").read_text().splitlines()]


def test_texts_of_somebody_else_are_scored_as_a_models_would_be(rot5, place):
    called = rot5("evaluate", "--predictions", "first.txt", "--data", "held-out", "--out", "scores")
    assert (called.code, called.err) == (0, "")
    assert "Summaries" in called.out and "Claims" in called.out and "Likelihood" not in called.out
    pairs = list(PairCorpus.open("held-out").references())
    written = Path("first.txt").read_text().splitlines()
    inputs, references = [pair.input for pair in pairs], [pair.references for pair in pairs]
    systems = evaluation("scores")["summaries"]["systems"]
    assert systems["model"] == json.loads(json.dumps(score_summaries(inputs, references, written, content)))
    assert systems["model"] == systems["lead-1"]
    assert written_samples() == written
    assert evaluation("scores")["summaries"]["predictions_file"] == "first.txt"

    again = rot5("evaluate", "--predictions", "scores/samples.jsonl", "--data", "held-out", "--out", "again")
    assert again.code == 0 and again.out == called.out
    assert evaluation("again")["summaries"]["systems"] == systems


def test_two_files_are_compared_pair_by_pair(rot5, place):
    words = ("--data", "held-out", "--out", "scores", "--original_rouge", "true")
    called = rot5("evaluate", "--predictions", "known.jsonl", "--against", "first.txt", *words)
    assert (called.code, called.err) == (0, "") and "Compared" in called.out and "of lemmas" in called.out
    pairs = list(PairCorpus.open("held-out").references())
    expected = compare_predictions(
        [pair.target for pair in pairs],
        Path("first.txt").read_text().splitlines(),
        [pair.references for pair in pairs],
        [pair.input for pair in pairs],
        content,
    )
    found = evaluation("scores")["summaries"]
    assert found["compared"] == json.loads(json.dumps(expected)) and found["compared"]["rougeL"]["low"] > 0
    assert found["systems"]["against"]["rougeL"] == found["systems"]["lead-1"]["rougeL"]
    called = rot5("report", "scores", "--markdown", "scores/results.md")
    assert called.code == 0, called
    page = Path("scores/report.html").read_text()
    assert "against" in page and "The first less the other" in page and "Invented" in page
    assert "The first less the other" in Path("scores/results.md").read_text()
    assert "One evaluation" in page and "training run" not in page


def test_scores_of_several_stand_in_one_report(rot5, place):
    for name in ("first.txt", "known.jsonl"):
        words = ("--predictions", name, "--against", "first.txt", "--data", "held-out", "--out", f"all/{name[:5]}")
        assert rot5("evaluate", *words).code == 0
    assert rot5("report", "all").code == 0
    overview, *each = Path("all/report.html").read_text().split("The first less the other")
    assert ">first<" in overview and ">known<" in overview
    assert len(each) == 2, "compared in each part, not over all"
    assert "2 evaluations side by side" in overview and "training run" not in overview
    assert ">Others<" in overview, "every kind of claim has its column"
    Path("all/run").mkdir()
    Path("all/run/config.yaml").write_text("seed: 0\n")
    assert rot5("report", "all").code == 0
    assert "3 runs and evaluations side by side" in Path("all/report.html").read_text()


def test_empty_lines_are_empty_predictions_and_the_first_pairs_may_do(rot5, place):
    Path("few.txt").write_text("\nMia ran.\n\n")
    called = rot5("evaluate", "--predictions", "few.txt", "--data", "held-out", "--out", "scores", "--summaries", 3)
    assert (called.code, called.err) == (0, "")
    assert written_samples() == ["", "Mia ran.", ""]


def test_a_folder_keeps_to_one_system(rot5, place):
    words = ("--data", "held-out", "--out", "scores")
    assert rot5("evaluate", "--predictions", "first.txt", *words).code == 0
    assert evaluation("scores")["system"] == {"predictions": "first.txt"}
    before = {path.name: path.read_bytes() for path in Path("scores").iterdir()}
    for other in (["--predictions", "known.jsonl"], ["nowhere"], ["first.txt"]):
        called = rot5("evaluate", *other, *words)
        told = f"scores holds the evaluation of first.txt: choose another --out for that of {other[-1]}"
        assert called.code == 2 and told in called.err and called.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in Path("scores").iterdir()} == before
    assert rot5("evaluate", "--predictions", place / "first.txt", *words).code == 0, "the same file"
    Path("run").mkdir()
    Path("run/config.yaml").write_text("seed: 0\n")
    called = rot5("evaluate", "--predictions", "first.txt", "--data", "held-out", "--out", "run")
    assert called.code == 2 and "run holds a run: choose another --out" in called.err
    assert [path.name for path in Path("run").iterdir()] == ["config.yaml"]


def test_rare_ends_of_lines_inside_a_text_are_read_back(rot5, place):
    strange = "Mia\u2028ran\u2029to\u0085the\x0bpond."
    Path("strange.txt").write_text((strange + "\n") * 8)
    assert rot5("evaluate", "--predictions", "strange.txt", "--data", "held-out", "--out", "scores").code == 0
    assert [row["prediction"] for row in RunFolder(Path("scores")).samples()] == [strange] * 8
    assert rot5("report", "scores", "--markdown", "scores/results.md").code == 0


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("mark.txt", b"\xef\xbb\xbfMia ran.\n" + b"\n" * 7, ["Mia ran."] + [""] * 7),
        ("mark.jsonl", b"\xef\xbb\xbf" + b'{"prediction": "a"}\n' * 8 + b"\n\r\n", ["a"] * 8),
        ("lone.txt", b"Mia\rran.\n" * 8, ["Mia\rran."] * 8),
        ("dos.txt", b"Mia ran.\r\n" * 8, ["Mia ran."] * 8),
        ("nothing.txt", b"\n" * 8, [""] * 8),
        ("open.txt", b"\n" * 7 + b"Mia ran.", [""] * 7 + ["Mia ran."]),
    ],
)
def test_bytes_that_editors_leave_change_no_prediction(rot5, place, name, content, expected):
    Path(name).write_bytes(content)
    called = rot5("evaluate", "--predictions", name, "--data", "held-out", "--out", "scores", "--summaries", 3)
    assert (called.code, called.err) == (0, ""), "as many as there are pairs will do"
    if name == "mark.txt":  # one will do
        again = rot5("evaluate", "--predictions", name, "--data", "held-out", "--out", "scores", "--summaries", 3)
        assert again.code == 0, again.err
    assert [row["prediction"] for row in RunFolder(Path("scores")).samples()] == expected


@pytest.mark.parametrize(
    ("words", "phrases"),
    [
        ("--predictions short.txt", ["short.txt holds 2 predictions", "each of the 8 pairs\n"]),
        ("--predictions short.txt --summaries 5", ["each of the 8 pairs or for the first 5 (--summaries)"]),
        ("--predictions first.txt --against short.txt", ["short.txt holds 2 predictions", "each of the 8 pairs"]),
        ("--predictions half.jsonl", ["half.jsonl, line 2", "'\\ud800' is half of a character"]),
        ("--predictions first.txt --objective run", ["objective run masks text", "held-out holds pairs"]),
        (
            "--predictions first.txt --num_beams 4 --max_new_tokens 9",
            ["num_beams 4 is for a model", "max_new_tokens 9"],
        ),
        ("--predictions torn.jsonl", ["torn.jsonl, line 2", "not valid JSON"]),
        ("--predictions other.jsonl", ["other.jsonl, line 1", "`prediction`"]),
        ("--predictions moved.jsonl", ["moved.jsonl, line 1", "`input`"]),
        ("--predictions empty.txt", ["empty.txt are empty"]),
        ("--predictions blank.jsonl", ["blank.jsonl are empty"]),
        ("--predictions latin.txt", ["latin.txt are not UTF-8"]),
        ("--predictions nowhere.txt", ["cannot read the predictions nowhere.txt"]),
        ("--predictions first.txt --model nowhere", ["one of the two"]),
        ("", ["name a model or give --predictions"]),
        ("--predictions first.txt --data text", ["text holds text", "--pairs"]),
        ("--predictions first.txt --out first.txt", ["first.txt is a file"]),
        ("--predictions first.txt --out known.jsonl/scores", ["known.jsonl is a file"]),
        ("nowhere --out known.jsonl/scores", ["known.jsonl is a file"]),
        ("nowhere --out=", ["--out is needed", "nowhere is no folder here"]),
        ("--predictions first.txt --out=", ["--out is needed", "no folder of their own"]),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(rot5, place, corpora, words, phrases):
    Path("short.txt").write_text("Mia ran.\nTom sang.\n")
    Path("torn.jsonl").write_text('{"prediction": "Mia ran."}\n{"prediction"\n')
    Path("other.jsonl").write_text('{"summary": "Mia ran."}\n')
    Path("moved.jsonl").write_text("".join(reversed(Path("known.jsonl").read_text().splitlines(keepends=True))))
    Path("empty.txt").write_text("")
    Path("blank.jsonl").write_text("\n \n")
    Path("half.jsonl").write_text('{"prediction": ""}\n{"prediction": "a \\ud800"}\n')
    Path("latin.txt").write_bytes("Málaga\n".encode("latin-1"))
    shutil.copytree(corpora / "validation", "text")
    before = sorted(Path().rglob("*"))
    given = words.split()
    called = rot5("evaluate", *given, *(() if "--data" in given else ("--data", "held-out")),
                  *(() if "--out" in words else ("--out", "scores")))  # fmt: skip
    assert called.code == 2 and called.err.startswith("rot5: error: ") and called.err.count("\n") == 1, called
    assert all(phrase in called.err for phrase in phrases), called.err
    assert sorted(Path().rglob("*")) == before
