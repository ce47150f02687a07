"""`rot5 plan`: what every preset costs, in figures that can be read off."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rot5.model.presets import PRESETS
from rot5.sizing.laws import laws_from


def lines_of(out: str) -> dict[str, list[str]]:
    """The words of each line behind its first."""
    return {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}


@pytest.mark.parametrize("words", [[], ["all"], ["--preset", "all"]])
def test_all_presets_are_listed(rot5, words):
    called = rot5("plan", *words)
    assert called.code == 0 and called.err == ""
    assert set(PRESETS) <= set(lines_of(called.out)) and "…" not in called.out


def test_the_six_of_the_original_experiment(rot5):
    lines = lines_of(rot5("plan").out)
    assert {name: lines[name][:2] for name in list(PRESETS)[:6]} == {
        "base-t5": ["32,502", "223,190,784"],
        "base-rope": ["32,502", "223,190,016"],
        "base-gqa": ["32,502", "194,878,464"],
        "base-moe": ["32,502", "987,749,376"],
        "base-moe-balanced": ["32,502", "987,749,376"],
        "mini": ["32,502", "46,814,208"],
    }


def test_one_preset_with_its_vocabulary_padded(rot5):
    called = rot5("plan", "base-moe")
    rows = {line[:24].strip(): line[24:].split() for line in called.out.splitlines()}
    assert "base-moe: base-gqa with 8 experts" in called.out
    assert rows["Vocabulary"] == ["32,502", "ids", "padded", "to", "32,512"]
    assert rows["Parameters"] == ["987,749,376", "987,757,056"]
    assert rows["Active"] == ["195,025,920", "195,033,600"]
    assert rows["Non-embedding"] == ["962,787,840", "962,787,840"]
    assert rows["Active non-embedding"] == ["170,064,384", "170,064,384"]
    assert rows["MFLOPs per encoder token"] == ["179.454", "179.454"]
    assert rows["MFLOPs per decoder token"] == ["252.988", "253.004"]


def test_settings_replace_lengths_and_vocabulary(rot5):
    called = rot5("plan", "demo", "--vocab_size", 1280, "--encoder_length", 1, "--decoder_length", 1)
    assert "1,280 ids" in called.out and "padded to" not in called.out
    assert "1 encoder and 1 decoder tokens" in called.out
    assert "4,460,800" in called.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["base-mo"], ["unknown preset 'base-mo'", "did you mean base-moe?"]),
        (["--encoder_length", "0", "--decoder_length", "-1"], ["encoder_length 0", "decoder_length -1", "at least 1"]),
        (["mini", "--vocab_size", "-5"], ["vocab_size -5"]),
        (["mini", "--vocab", "5"], ["unknown setting 'vocab'"]),
        (["mini", "--tokens", "-1"], ["tokens -1"]),
        (["mini", "--tokens", "1e9", "--flops", "1e18"], ["both given", "give tokens instead"]),
        (["mini", "--flops", "1e18"], ["preset mini has one"]),
        (["mini", "--tokens", "1e9", "--hardware", "H20"], ["hardware 'H20'", "did you mean H200?"]),
        (["mini", "--tokens", "1e9", "--optimizer", "adam"], ["did you mean adamw?"]),
        (["mini", "--tokens", "1e9", "--devices", "0", "--batch_rows", "0"], ["devices 0", "batch_rows 0"]),
        (["2m", "--tokens", "1e6", "--law", "law.json"], ["law law.json is for finding a size and preset 2m has one"]),
        (["--flops", "1e18", "--law", "/nowhere/law.json"], ["cannot read the law /nowhere/law.json"]),
    ],
)
def test_mistakes_are_told_in_one_line(rot5, words, told):
    called = rot5("plan", *words)
    assert called.code == 2 and called.out == ""
    assert called.err.startswith("rot5: error: ") and called.err.count("\n") == 1
    assert all(part in called.err for part in told)


def test_the_size_for_the_original_experiments_text(rot5):
    lines = lines_of(rot5("plan", "--tokens", 2 * 684_805_492).out)
    assert lines["chinchilla"][:4] == ["3.65e+17", "48,013,003", "1,369,610,984", "mini"]


def test_sizes_for_a_budget_by_fitted_laws(rot5, tmp_path):
    path = tmp_path / "law.json"
    parametric = {"kind": "parametric", "E": 0.6, "A": 60, "alpha": 0.35, "B": 200, "beta": 0.4, "k": 7.0}
    isoflop = {"kind": "isoflop", "a": 0.5, "c": -2.0, "k": 7.0}
    path.write_text(json.dumps({"parametric": {"law": parametric}, "isoflop": {"law": isoflop}}))
    called = rot5("plan", "--flops", "1e16", "--law", path)
    rows = {line[:24].strip(): line[24:].split() for line in called.out.splitlines()}
    assert called.err == "" and "chinchilla" in called.out
    best = laws_from({"parametric": {"law": parametric}})["parametric"].optimal(1e16)
    assert rows["fitted loss"][:3] == ["1.00e+16", f"{round(best.parameters):,}", f"{round(best.tokens):,}"]
    assert rows["fitted to equal budgets"][:2] == ["1.00e+16", f"{round(math.exp(-2) * 1e8):,}"]
    path.write_text("{}")
    called = rot5("plan", "--flops", "1e16", "--law", path)
    assert called.code == 2 and "no law here" in called.err and called.err.count("\n") == 1


def test_what_training_takes(rot5):
    words = ["mini", "--tokens", "1e9", "--hardware", "H200", "--devices", 2, "--price_per_hour", 3]
    called = rot5("plan", *words)
    rows = {name: rest for line in called.out.splitlines() for name, *rest in [re.split(r"\s{2,}", line.strip())]}
    assert called.code == 0 and rows["Story tokens"] == ["1,000,000,000"]
    hours, cost = float(rows["Hours"][0]), float(rows["Cost"][0])
    assert cost == pytest.approx(hours * 2 * 3, abs=0.05) and hours > 0
    memory = {words[0]: words[1:] for line in called.out.splitlines() if len(words := line.split()) == 3}
    assert float(memory["weights"][0]) == pytest.approx(2 * float(memory["weights"][1]), abs=0.011)
    assert float(memory["total"][0]) > float(memory["total"][1])
    alone = rot5("plan", "mini", "--tokens", "1e9", "--batch_rows", 600, "--hardware", "RTX-4090")
    assert "Sharded\n" not in alone.out and "are more than the 24.0 GB that there are" in alone.out
    assert "Cost" not in alone.out


def test_help_imports_no_torch():
    code = """
import sys
from rot5.cli import run
try:
    run(["plan", "--help"])
except SystemExit as stop:
    assert not stop.code
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--encoder_length" in done.stdout


def test_the_page_on_architectures_shows_what_is_printed(rot5):
    page = (Path(__file__).parents[2] / "docs" / "architectures.md").read_text(encoding="utf-8")
    printed = "\n".join(line.rstrip() for line in rot5("plan").out.strip("\n").splitlines())
    assert f"```text\n{printed}\n```" in page
