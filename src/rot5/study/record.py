"""What a study remembers between one call and the next: what its variants meant, and how long their steps took."""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rot5.errors import UserError
from rot5.folders import write_json
from rot5.train.run_folder import difference

RECORD = "study.json"


@contextlib.contextmanager
def sole(runs: Path) -> Iterator[int]:
    """Keep other studies out of a folder of runs; the descriptor is handed to the runs, which hold it as well.

    Raises UserError while another study, or a run that a killed one left behind, is at work there.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{runs} is in use by another study, or by a run that one left behind: wait for it"
            ) from error
        yield lock.fileno()


def check_unchanged(out: Path, meaning: Mapping[str, Any], accept: bool) -> dict[str, Any]:
    """Compare what variants mean with what they meant when the study was begun; return what is to be remembered.

    New ones may come and old ones go. Raises UserError that names every change of one that is in both, unless `accept`.
    """
    path = out / RECORD
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    meaning = json.loads(json.dumps(meaning))
    changed = [
        f"{name}: {line}" for name in meaning if name in before for line in difference(before[name], meaning[name])
    ]
    if changed and not accept:
        raise UserError(
            f"{out} was begun with other settings ({'; '.join(changed)}): restore them, give what has changed another "
            "name, or go on with --accept_changes; finished runs are kept in any case"
        )
    return {**before, **meaning}


def remember(out: Path, meaning: Mapping[str, Any]) -> None:
    """Keep what variants mean, now that nothing is known to be wrong with them."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RECORD, meaning)
