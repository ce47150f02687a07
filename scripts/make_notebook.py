"""Makes examples/teaching/teaching.ipynb from the script beside it, runs it, and stores it with what it printed."""

import argparse
import os
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SCRIPT = Path(__file__).parents[1] / "examples" / "teaching" / "teaching.py"


def run(out: Path) -> None:
    """Write the executed notebook to `out`: cells numbered and no times, so that two runs differ in results only."""
    notebook = jupytext.read(SCRIPT)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    notebook.metadata.pop("jupytext", None)
    # tqdm misses its widgets in a notebook, and its warning names a path of this machine.
    environment = {**os.environ, "PYTHONWARNINGS": "ignore:IProgress not found"}
    NotebookClient(notebook, timeout=None, record_timing=False).execute(env=environment)
    nbformat.write(notebook, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SCRIPT.with_suffix(".ipynb"), help="where to write the notebook")
    run(parser.parse_args().out)
