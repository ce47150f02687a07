"""Files and folders that are whole or absent, and have one writer at a time.

What is being written has a name that begins with `partial-`; it is forced to the disk before it is renamed into place.
"""

import contextlib
import fcntl
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rot5.errors import UserError

LOCK = "lock"
POLL_SECONDS = 0.1
"""Between looks at a lock that another process holds."""


def sync(path: Path) -> None:
    """Force a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` so that the file is whole or unchanged, whatever happens to the process or the machine."""
    partial = unfinished(path)
    try:
        partial.write_text(text, encoding="utf-8")
        sync(partial)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, as `write_text` does."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def check_writable(path: Path, key: str) -> None:
    """Raise UserError if what `--key` names cannot be a file: told before work is done whose result goes there."""
    if path.is_dir():
        raise UserError(f"--{key} {path} is a folder: name a file")
    if any(parent.is_file() for parent in path.parents):
        raise UserError(f"--{key} {path} lies below a file: name another place")


def unfinished(path: Path) -> Path:
    """Where a file or a folder is made before it is put in place."""
    return _beside(path, "partial")


def put_in_place(folder: Path, scaffold: Sequence[str] = ()) -> None:
    """Let what was made at `unfinished(folder)` take the place of `folder`, durably.

    Files of the names in `scaffold`, which tell how far it is, go at the last moment.
    """
    partial, old = unfinished(folder), _beside(folder, "old")
    for path in [*partial.rglob("*"), partial]:
        sync(path)
    for name in scaffold:
        (partial / name).unlink(missing_ok=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(partial, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def settle(folder: Path) -> None:
    """Finish or undo what a killed `put_in_place` or `remove` left of `folder`, so that one of both is there, whole."""
    old = _beside(folder, "old")
    if old.exists() and not folder.exists() and unfinished(folder).exists():
        os.replace(old, folder)
    shutil.rmtree(old, ignore_errors=True)


def undo(folder: Path) -> None:
    """Give up what is being made for `folder`, which is what it was."""
    settle(folder)
    shutil.rmtree(unfinished(folder), ignore_errors=True)


def remove(folder: Path) -> None:
    """Delete a folder so that it is there whole or not at all under its name."""
    old = _beside(folder, "old")
    shutil.rmtree(old, ignore_errors=True)
    os.replace(folder, old)
    shutil.rmtree(old)


@contextlib.contextmanager
def complete_or_absent(folder: Path) -> Iterator[Path]:
    """Yield a fresh folder beside `folder` that takes its place only if the block ends without an exception.

    An existing `folder` is replaced at that moment. After an exception nothing is left behind and the old one stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    settle(folder)
    partial = unfinished(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        put_in_place(folder)
    except BaseException:
        undo(folder)
        raise


@contextlib.contextmanager
def locked(path: Path, wait: Callable[[str], None] | None = None) -> Iterator[int]:
    """Hold the lock file at `path`, and yield its descriptor.

    The lock is the kernel's: an owner that was killed holds nothing, unless a child of its inherited the descriptor.
    The file names its owner and goes with it. While another process holds it, `wait` is told so, once, and it is waited
    for; raises UserError instead where nobody waits.
    """
    tries = 0
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # its owner removed the folder a moment ago
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            tries += 1
            if tries == 2:  # at first somebody may have looked whether there is an owner
                if wait is None:
                    raise UserError(f"{path} is held by {holder}: wait for it, or for what it started") from None
                wait(f"{path} is held by {holder}: waiting for it")
            time.sleep(POLL_SECONDS)
            continue
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)  # a lock that its owner removed a moment ago
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()} since {time.ctime()}\n".encode(), 0)
        yield descriptor
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


@contextlib.contextmanager
def sole(folder: Path) -> Iterator[int]:
    """Keep other writers out of `folder`, which is made if need be and goes if it is still empty; as `locked`.

    Raises UserError where `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: choose another folder")
    try:
        with locked(folder / LOCK) as descriptor:
            yield descriptor
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def owner(folder: Path) -> str:
    """Who is writing in `folder` at this moment; empty if nobody is."""
    try:
        with (folder / LOCK).open(encoding="utf-8", errors="replace") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return ""
    except BlockingIOError:
        with contextlib.suppress(FileNotFoundError):
            return (folder / LOCK).read_text(encoding="utf-8", errors="replace").strip() or "another process"
    return ""


def _beside(path: Path, word: str) -> Path:
    return path.with_name(f"{word}-{path.name}")
