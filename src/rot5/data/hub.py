"""Texts of a data set on the hub, streamed: a connection that breaks is taken up where it broke, and so is a run."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rot5.data.files import SEPARATOR
from rot5.data.parts import Part
from rot5.errors import UserError

WAITS = (1, 2, 4, 8, 16, 32, 64)
"""Seconds before a broken connection is tried again; behind the last it is given up."""
ROWS_PER_STATE = 256
DOCUMENTS_PER_BOOKMARK = 10_000


class Stream:
    """The texts of a split in their order; of a part, its share of the files, or else of the rows."""

    def __init__(self, name: str, split: str, part: Part) -> None:
        self._name = name
        self._split = split
        self._part = part
        self._state: dict[str, Any] = {}
        self._rows_behind_state = 0

    def __iter__(self) -> Iterator[str]:
        """Raises UserError if there is no such data set, or no way to it."""
        waits = iter(())
        while True:
            try:
                for text in self._read():
                    waits = iter(WAITS)
                    yield text
                return
            except Exception as error:  # what breaks with a connection depends on the library below
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                wait = next(waits, None) if _may_pass(error) else None
                if wait is None:
                    raise UserError(
                        f"cannot read {self._name} from the hub: {reason}; the path of a local copy will do too"
                    ) from error
                print(f"{self._name}: {reason}; trying again in {wait} s", file=sys.stderr)
                time.sleep(wait)

    def place(self) -> dict[str, Any]:
        """Where the stream is, as plain JSON."""
        return {"state": self._state, "rows": self._rows_behind_state}

    def go_to(self, place: dict[str, Any]) -> None:
        """Go on from a `place()`."""
        self._state, self._rows_behind_state = place["state"], place["rows"]

    def _read(self) -> Iterator[str]:
        import datasets
        from datasets.distributed import split_dataset_by_node

        rows = datasets.load_dataset(self._name, split=self._split, streaming=True)
        if self._part.of > 1:
            rows = split_dataset_by_node(rows, self._part.number, self._part.of)
        if self._state:
            rows.load_state_dict(self._state)
        passed, self._rows_behind_state = self._rows_behind_state, 0
        for number, row in enumerate(rows, start=1):
            self._rows_behind_state += 1
            if number % ROWS_PER_STATE == 0:
                self._state, self._rows_behind_state = rows.state_dict(), 0
            if number > passed:
                yield row["text"].replace(SEPARATOR, "").strip()


def _may_pass(error: Exception) -> bool:
    """Whether a fault is one of the connection, or of a server that has too much to do."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    missing = isinstance(error, FileNotFoundError | OfflineModeIsEnabled)
    return not missing and isinstance(error, OSError | RuntimeError)


class Bookmarks:
    """Where a stream was at so many documents, in a file that a later run reads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self, documents: int) -> tuple[int, dict[str, Any] | None]:
        """The last place that is not behind so many documents, and at how many it was noted."""
        best: tuple[int, dict[str, Any] | None] = (0, None)
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    noted = json.loads(line)
                except ValueError:  # torn when the writer was killed
                    continue
                if best[0] < noted["documents"] <= documents:
                    best = noted["documents"], noted["place"]
        return best

    def keep(self, texts: Iterator[str], stream: Stream, documents: int) -> Iterator[str]:
        """Hand on the texts that are made of a stream, one by one, behind so many documents, and note the places."""
        for number, text in enumerate(texts, start=documents + 1):
            yield text
            if number % DOCUMENTS_PER_BOOKMARK == 0:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"documents": number, "place": stream.place()}) + "\n")
