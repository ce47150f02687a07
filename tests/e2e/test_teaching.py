"""The teaching path: the notebook is what its script gives, and runs from the first cell to the last."""

import re
import runpy
from pathlib import Path

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "teaching"
MOST_BYTES = 200_000


def cells(notebook) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(FOLDER / "teaching.ipynb", as_version=4)


def test_the_notebook_is_what_the_script_gives(notebook):
    script = jupytext.read(FOLDER / "teaching.py")
    assert cells(notebook) == cells(script), "run `make notebook`"
    assert len(cells(notebook)) > 20


def test_the_notebook_is_stored_small_and_says_nothing_of_a_machine(notebook):
    nbformat.validate(notebook)
    text = (FOLDER / "teaching.ipynb").read_text(encoding="utf-8")
    assert len(text) < MOST_BYTES
    assert not re.search(r"/(?:home|root|work|tmp|usr|opt)/|\biopub\b|Traceback|Warning", text)


def test_stored_outputs_are_of_one_run_from_top_to_bottom(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_the_cells_run_at_smoke_size(tmp_path, monkeypatch, capsys):
    """As a script: `make notebook` runs them as a notebook."""
    monkeypatch.setenv("ROT5_SIZE", "smoke")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FOLDER / "teaching.py"), run_name="__main__")
    written = capsys.readouterr().out
    assert "100 items: 70 for training, 30 for testing" in written
    assert re.search(r"knows +100 \[100, 100\] +1 +100\.0\n", written)
    assert re.search(r"silent +0 \[0, 0\] +\S+ +0\.0\n", written)
    header = written.split("new task", 1)[1]
    assert "falling order" in header and "word classes" in header
