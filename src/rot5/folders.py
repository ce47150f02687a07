"""Folders that are complete or absent: written aside, made durable, then renamed into place."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def sync(path: Path) -> None:
    """Force a file's or a folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON so that the file is whole or unchanged."""
    partial = path.with_name(f"partial-{path.name}")
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sync(partial)
    os.replace(partial, path)


@contextlib.contextmanager
def complete_or_absent(folder: Path) -> Iterator[Path]:
    """Yield a fresh folder beside `folder` that takes its place only if the block ends without an exception.

    An existing `folder` is replaced at that moment. After an exception nothing is left behind and the old one stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for path in [*partial.rglob("*"), partial]:
            sync(path)
        old = folder.with_name(f"old-{folder.name}")
        if folder.exists():
            os.replace(folder, old)
        os.replace(partial, folder)
        sync(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
