"""What a teacher says of every target token of pairs, kept on the disk and mapped into memory.

    teacher.json     whose words these are, of which pairs; pairs that are done; at the end size and sha256 of each file
    COLUMN.raw       numbers of a column, a row for each token, pair by pair, without a header

Pairs are asked for in blocks. A block counts once it is on the disk and noted, so that a killed call goes on behind it,
and the files are the same, byte by byte.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rot5.data.manifest import seal_of
from rot5.errors import UserError
from rot5.folders import locked, unfinished, write_json
from rot5.train.run_folder import difference

NOTE = "teacher.json"


class Column(NamedTuple):
    """An array with a row for each target token."""

    name: str
    """Of the batch's field."""
    stored: str
    """numpy's name of the type on the disk."""
    read: str
    """That of the type in a batch."""
    width: int
    """Numbers of a row; 0 for one number that is no row."""


class Block(NamedTuple):
    """What a teacher says of some pairs."""

    pairs: int
    """How many."""
    columns: Sequence[NDArray]
    """The rows of their tokens, column by column."""


class TeacherCache:
    """The words of one teacher on the targets of pairs, of which there are `lengths` tokens each."""

    def __init__(
        self, folder: Path, about: Mapping[str, Any], columns: Sequence[Column], lengths: NDArray[np.int64]
    ) -> None:
        """Raises UserError if the folder holds another teacher's words."""
        self.folder = folder
        self.columns = columns
        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(lengths)])
        """int64[pairs + 1]: the first row of each pair, and behind them how many rows there are."""
        self._about = json.loads(json.dumps({**about, "columns": columns, "tokens": int(self.starts[-1])}))
        self._check()

    @property
    def pairs(self) -> int:
        return len(self.starts) - 1

    def _note(self) -> dict[str, Any]:
        path = self.folder / NOTE
        if not path.is_file():
            return {"about": self._about, "pairs": 0}
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(note["about"], dict) and isinstance(note["pairs"], int):
                return note
        except (ValueError, LookupError, TypeError):
            pass
        raise UserError(f"{path} is damaged: remove {self.folder}")

    def _check(self) -> None:
        folder = self.folder
        if folder.exists() and not folder.is_dir():
            raise UserError(f"cache: {folder} is a file: choose another --cache")
        begun = (folder / NOTE, unfinished(folder / NOTE))
        if folder.is_dir() and not begun[0].is_file() and any(path not in begun for path in folder.iterdir()):
            raise UserError(f"cache: {folder} exists and holds no words of a teacher: choose another --cache")
        if told := difference(self._note()["about"], self._about):
            raise UserError(
                f"cache: {folder} holds the words of another teacher, or on something else ({'; '.join(told)}): "
                "remove it, or choose another --cache"
            )

    def _path(self, column: Column) -> Path:
        return self.folder / f"{column.name}.raw"

    def fill(self, ask: Callable[[int], Iterable[Block]], tell: Callable[[str], None]) -> None:
        """Ask for what is missing: `ask(n)` gives pair n and all behind it, block by block.

        While another process asks, it is waited for. Raises UserError if that was of another teacher.
        """
        if self._is_whole():
            return
        with locked(self.folder.with_name(f"lock-{self.folder.name}"), wait=tell):
            if self._is_whole():  # another process has asked meanwhile
                return
            done = self._note()["pairs"]
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / NOTE, {"about": self._about, "pairs": done})
            files = [self._good(column, done) for column in self.columns]
            try:
                for block in ask(done):
                    first, done = done, done + block.pairs
                    for file, column, values in zip(files, self.columns, block.columns, strict=True):
                        assert len(values) == self.starts[done] - self.starts[first]
                        file.write(np.ascontiguousarray(values, column.stored).tobytes())
                        file.flush()
                        os.fsync(file.fileno())
                    write_json(self.folder / NOTE, {"about": self._about, "pairs": done})
                    tell(f"{done:,} of {self.pairs:,} targets read by the teacher")
            finally:
                for file in files:
                    file.close()
            seals = {path.name: seal_of(path) for path in map(self._path, self.columns)}
            write_json(self.folder / NOTE, {"about": self._about, "pairs": self.pairs, "files": seals})

    def _good(self, column: Column, done: int):
        """The file of a column, cut behind what is good of it and open at its end."""
        path, size = self._path(column), int(self.starts[done]) * self._row_bytes(column)
        path.touch()
        if path.stat().st_size < size:
            raise UserError(f"{path} is damaged: remove {self.folder}")
        file = path.open("r+b")
        file.truncate(size)
        file.seek(size)
        return file

    @staticmethod
    def _row_bytes(column: Column) -> int:
        return np.dtype(column.stored).itemsize * max(1, column.width)

    def _is_whole(self) -> bool:
        """Whether all was asked for. Raises UserError for another teacher's words, and for files that are cut short."""
        self._check()
        if "files" not in self._note():
            return False
        for column in self.columns:
            path, size = self._path(column), int(self.starts[-1]) * self._row_bytes(column)
            if not path.is_file() or path.stat().st_size != size:
                raise UserError(f"{path} is missing or cut short: remove {self.folder}")
        return True

    def arrays(self) -> list[NDArray]:
        """The columns, on the disk."""
        rows = int(self.starts[-1])
        return [
            np.memmap(self._path(column), column.stored, "r", 0, (rows, column.width) if column.width else (rows,))
            for column in self.columns
        ]

    def verify(self) -> None:
        """Read every file and raise UserError if one is not as it was written."""
        for name, seal in self._note().get("files", {}).items():
            if seal_of(self.folder / Path(name).name) != seal:
                raise UserError(f"{self.folder / name} is damaged: remove {self.folder}, and begin again")
