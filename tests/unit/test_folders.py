"""What is whole or absent stays so at every moment, and one writer at a time is let in."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from rot5 import folders
from rot5.errors import UserError
from rot5.folders import complete_or_absent, locked, owner, remove, settle, sole, unfinished, write_json, write_text
from rot5.stopping import SIGNALS, Stopped, stop_at_once


class PowerCut(BaseException):
    pass


def test_a_folder_is_old_or_new_at_every_moment(tmp_path, monkeypatch):
    """Wherever the power goes off, the next writer finds one of the two whole, and leaves nothing else."""
    target = tmp_path / "folder"
    seen = set()

    def replaced(cut):
        with complete_or_absent(target) as partial:
            (partial / "a").write_text(str(cut))
            (partial / "b").write_text(str(cut))

    replaced(0)
    for cut in range(1, 30):
        left = interrupt(monkeypatch, replaced, cut)
        settle(target)
        texts = {(target / name).read_text() for name in ("a", "b")}
        assert len(texts) == 1 and texts <= {"0", str(cut)}
        seen |= {"old" if texts == {"0"} else "new"}
        if not left:
            break
        with complete_or_absent(target) as partial:
            for name in ("a", "b"):
                (partial / name).write_text("0")
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert seen == {"old", "new"} and cut > 5


def interrupt(monkeypatch, action, cut: int) -> bool:
    """Whether the call of that number to the file system was reached, and cut off."""
    calls = 0

    def counted(call):
        def wrapped(*arguments, **more):
            nonlocal calls
            calls += 1
            if calls >= cut:
                raise PowerCut
            return call(*arguments, **more)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr("rot5.folders.os.replace", counted(os.replace))
        patch.setattr("rot5.folders.shutil.rmtree", counted(folders.shutil.rmtree))
        patch.setattr("rot5.folders.sync", counted(folders.sync))
        try:
            action(cut)
        except PowerCut:
            return True
    return False


def test_a_removed_folder_is_whole_or_gone(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").touch()
    for cut in (1, 2, 3):
        interrupt(monkeypatch, lambda cut: remove(folder), cut)
        assert not folder.exists() or (folder / "a").exists()
    settle(folder)
    assert not list(tmp_path.iterdir())


def test_a_file_is_old_or_new(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_json(path, [1])
    for cut in (1, 2):
        assert interrupt(monkeypatch, lambda cut: write_text(path, "two"), cut)
        assert path.read_text() == "[\n  1\n]\n" and list(tmp_path.iterdir()) == [path]
    write_text(path, "two")
    assert path.read_text() == "two"


def test_a_signal_between_the_two_renames_leaves_the_old_folder(tmp_path, monkeypatch):
    """What cleans up behind a signal finds the old folder out of place."""
    target, rename = tmp_path / "folder", os.replace
    target.mkdir()
    (target / "a").write_text("old")

    def stopped(source, destination):
        if str(source).endswith("partial-folder"):
            monkeypatch.setattr("rot5.folders.os.replace", rename)
            raise KeyboardInterrupt
        rename(source, destination)

    monkeypatch.setattr("rot5.folders.os.replace", stopped)
    with pytest.raises(KeyboardInterrupt), complete_or_absent(target) as partial:
        (partial / "a").write_text("new")
    assert (target / "a").read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_the_old_folder_alone(tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(ZeroDivisionError), complete_or_absent(target) as partial:
        assert partial == unfinished(target)
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == [target]


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    folder = tmp_path / "folder"
    assert owner(folder) == ""
    with sole(folder):
        assert owner(folder).startswith(f"process {os.getpid()} on ")
        with pytest.raises(UserError, match=f"is held by process {os.getpid()} on "), sole(folder):
            pass
    assert not folder.exists(), "an empty folder goes with its lock"
    with sole(folder):
        (folder / "a").touch()
    assert owner(folder) == "" and [path.name for path in folder.iterdir()] == ["a"]
    with pytest.raises(UserError, match="is a file"), sole(folder / "a"):
        pass


def test_who_waits_for_an_owner_is_told_once_and_can_be_stopped(tmp_path):
    told: list[str] = []

    def wait(line):
        told.append(line)
        if len(told) == 1:
            threading.Timer(3 * folders.POLL_SECONDS, os.kill, (os.getpid(), signal.SIGTERM)).start()

    before = {each: signal.getsignal(each) for each in SIGNALS}
    stop_at_once()
    try:
        with locked(tmp_path / "lock"), pytest.raises(Stopped), locked(tmp_path / "lock", wait):
            pass
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert len(told) == 1 and f"is held by process {os.getpid()} on " in told[0]
    assert not list(tmp_path.iterdir())


def test_a_dead_owner_holds_nothing(tmp_path):
    lock = tmp_path / "lock"
    script = (
        f"import time; from pathlib import Path; from rot5.folders import locked\nwith locked(Path({str(lock)!r})):\n"
    )
    script += "  print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {other.pid}"), locked(lock):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert lock.exists() and owner(tmp_path) == ""
    with locked(lock):
        pass
    assert not lock.exists()
