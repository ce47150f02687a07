"""What docs/python.md shows runs, from top to bottom, on a small model."""

import re
import shutil

from typed import ROOT


def test_every_block_of_the_page_runs(mine, tmp_path, monkeypatch, capsys):
    shutil.copytree(mine / "runs/mine/tuned", tmp_path / "runs/mine/tuned")
    shutil.copytree(mine / "runs/mine/data", tmp_path / "runs/mine/data")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)
    assert len(blocks) > 10
    printed = capsys.readouterr().out
    assert "no model 'runs/mine/tunde'" in printed
    assert "[MASK-0]" in printed
