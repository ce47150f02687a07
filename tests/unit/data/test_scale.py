"""Corpora prepared in parts by datatrove: the same text in the same order, less its duplicates, whoever prepares it."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rot5.data import scale
from rot5.data.corpus import Corpus, documents
from rot5.data.files import SEPARATOR
from rot5.data.parts import PartsConfig
from rot5.data.sources import Documents, SourceConfig
from rot5.errors import UserError
from rot5.folders import unfinished

STORIES = list(Documents(SourceConfig(limit=60)))


@pytest.fixture
def text(tmp_path):
    """Sixty stories, five of them twice, five once more with another end, and one that is too short for MinHash."""
    path = tmp_path / "text.txt"
    longer = [f"{story} And that was that." for story in STORIES[20:25]]
    path.write_text(SEPARATOR.join([*STORIES, *STORIES[:5], "Two words.", *longer, "Two words."]))
    return path


@pytest.fixture
def tokenizer(corpora):
    return Corpus.open(corpora / "stories").tokenizer()


def prepared(text, tokenizer, out, resume=False, **settings):
    config = SourceConfig(name=str(text), licence="CC0-1.0")
    manifest = scale.prepare_parts(
        config, tokenizer, out, PartsConfig(**settings), settings={"a": settings["number"]}, resume=resume
    )
    if not manifest:
        return None
    corpus = Corpus.open(out)
    corpus.verify()
    assert corpus.manifest == manifest and manifest["licence"] == config.licence
    assert manifest["settings"] == {"a": settings["number"]}
    assert {path.name for path in out.parent.iterdir()} <= {text.name, out.name, "bin", "jobs"}
    assert {path.name.partition("-")[0] for path in out.iterdir()} == {"manifest.json", "tokenizer", "part"}
    return list(documents(corpus))


@pytest.mark.parametrize("number", [1, 3])
def test_parts_become_the_whole(text, tokenizer, tmp_path, number):
    assert prepared(text, tokenizer, tmp_path / "out", number=number) == list(Documents(SourceConfig(name=str(text))))


def test_of_equal_texts_one_stays(text, tokenizer, tmp_path):
    found = prepared(text, tokenizer, tmp_path / "out", number=2, duplicates="exact")
    assert len(found) == len(set(found)) == 66
    assert set(found) == set(Documents(SourceConfig(name=str(text))))
    assert Corpus.open(tmp_path / "out").manifest["duplicates_removed"] == 6


@pytest.mark.parametrize("duplicates", ["exact", "near"])
def test_parts_may_be_empty(tokenizer, tmp_path, duplicates):
    (tmp_path / "text.txt").write_text(SEPARATOR.join([STORIES[0], STORIES[0], STORIES[1]]))
    found = prepared(tmp_path / "text.txt", tokenizer, tmp_path / "out", number=5, workers=1, duplicates=duplicates)
    assert sorted(found) == sorted(STORIES[:2])


def test_of_nearly_equal_texts_one_stays(text, tokenizer, tmp_path):
    found = prepared(text, tokenizer, tmp_path / "out", number=2, duplicates="near")
    assert len(found) == 62
    for n, story in enumerate(STORIES):
        copies = [each for each in found if each.startswith(story)]
        assert len(copies) == 1, n
    assert Corpus.open(tmp_path / "out").manifest["duplicates_removed"] == 10


def test_a_fault_in_a_part_is_told_and_the_others_stay(tokenizer, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    good = SEPARATOR.join(STORIES).encode()
    path.write_bytes(good[:-40] + b"\xff" + good[-39:])
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"not UTF-8 text at byte .*--resume goes on"):
        prepared(path, tokenizer, out, number=2, workers=1)
    first = unfinished(out) / "part-00000" / "manifest.json"
    made = first.stat().st_mtime_ns
    path.write_bytes(good)
    monkeypatch.setattr(scale, "merged", lambda folder, parts: pytest.fail(str(first.stat().st_mtime_ns == made)))
    with pytest.raises(pytest.fail.Exception, match="True"):
        prepared(path, tokenizer, out, resume=True, number=2)
    monkeypatch.undo()
    assert prepared(path, tokenizer, out, resume=True, number=2) == STORIES


def test_nothing_at_all_is_told(tokenizer, tmp_path):
    (tmp_path / "text.txt").write_text(f" {SEPARATOR} ")
    with pytest.raises(UserError, match="no documents in"):
        prepared(tmp_path / "text.txt", tokenizer, tmp_path / "out", number=2)


def test_other_settings_are_not_taken_up(text, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "_done", lambda last, name: False)
    assert prepared(text, tokenizer, tmp_path / "out", number=2) is None
    with pytest.raises(UserError, match="begun with other settings"):
        prepared(text, tokenizer, tmp_path / "out", number=3, resume=True)


def running(mark: str) -> list[int]:
    """Processes that have the mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_processes_end_with_the_one_that_began_them(corpora, tmp_path, how, code):
    mark = f"ROT5_TEST_MARK={tmp_path}"
    path = tmp_path / "text.txt"
    path.write_text(SEPARATOR.join(STORIES * 1000))
    words = f"prepare {path} --tokenizer {corpora / 'stories'} --out {tmp_path / 'out'} --parts.number 4".split()
    command = [sys.executable, "-m", "rot5.cli", *words, "--parts.workers", "2"]
    process = subprocess.Popen(command, env={**os.environ, "ROT5_TEST_MARK": str(tmp_path)})
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("partial-out/partial-part-*/tokens*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(running(mark)) >= 3
    process.send_signal(how)
    assert process.wait(20) == code
    deadline = time.monotonic() + 10
    while (left := running(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


FAKES = {
    "sbatch": """
echo "$@" >> "$JOBS/calls"
script="${@: -1}"
cp "$script" "$JOBS/$(basename "$script")"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for number in $(seq 0 "${last:-0}"); do
  SLURM_ARRAY_TASK_ID=$number SLURM_NODELIST=here RUN_OFFSET=0 bash "$script" >> "$JOBS/log" 2>&1 || exit 1
done
echo Submitted batch job $(wc -l < "$JOBS/calls")
""",
    "srun": 'while [ "${1#-}" != "$1" ]; do [ "$1" = -n ] && shift; shift; done; exec "$@"',
    "scontrol": "echo here",
}


@pytest.mark.slow
def test_slurm_gets_jobs_that_do_the_work(text, tokenizer, tmp_path, monkeypatch):
    """Three commands stand in for a cluster: jobs run when they are submitted."""
    for folder in ("bin", "jobs"):
        (tmp_path / folder).mkdir()
    for name, script in FAKES.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(tmp_path / "jobs"))
    cluster = {"number": 2, "executor": "slurm", "partition": "cpu", "workers": 2, "duplicates": "exact"}
    found = prepared(text, tokenizer, tmp_path / "out", **cluster)
    assert len(found) == len(set(found)) == 66, (tmp_path / "jobs" / "log").read_text()
    calls = (tmp_path / "jobs" / "calls").read_text().splitlines()
    assert sum("--dependency=afterok:" in call for call in calls) == 2, "stages wait for each other"
    scripts = [path.read_text() for path in (tmp_path / "jobs").iterdir() if path.name not in ("calls", "log")]
    assert any("#SBATCH --partition=cpu" in each and "#SBATCH --array=0-1%2" in each for each in scripts)


def test_slurm_that_is_still_at_work_leaves_the_rest_for_later(text, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("datatrove.executor.slurm.launch_slurm_job", lambda contents, retriever, *args: "7")
    out = tmp_path / "out"
    cluster = {"number": 2, "executor": "slurm", "partition": "cpu"}
    assert prepared(text, tokenizer, out, **cluster) is None
    assert not out.exists()
    assert len(prepared(text, tokenizer, out, resume=True, number=2)) == 72, "any executor finishes what another began"


@pytest.mark.parametrize(("executor", "word"), [("slurm", "sbatch"), ("ray", "ray")])
def test_clusters_that_are_not_there_are_told(text, tokenizer, tmp_path, monkeypatch, executor, word):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=f"{executor} is not to be had here: .*{word}"):
        prepared(text, tokenizer, tmp_path / "out", number=2, executor=executor, partition="cpu")
