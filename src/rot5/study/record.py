"""What a study remembers between one call and the next: what its variants meant, and how long their steps took."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rot5.config import EvaluateConfig
from rot5.errors import UserError
from rot5.folders import write_json
from rot5.recipes import defaults
from rot5.study.variant import PLACES, VERBS
from rot5.train.run_folder import decisive, difference

RECORD = "study.json"
JUDGED = "evaluate"


def check_unchanged(out: Path, meaning: Mapping[str, Any], accept: bool) -> set[str]:
    """Compare what variants and data mean with what they meant when the study was begun; return those that changed.

    New ones may come and old ones go. Raises UserError that names every change of one that is in both, unless `accept`.
    """
    usual = {
        verb: {key: value for key, value in defaults(kind).items() if key not in PLACES}
        for verb, kind in (VERBS | {JUDGED: EvaluateConfig}).items()
    }
    before = {name: _compared(found, usual) for name, found in _remembered(out).items()}
    now = {name: _compared(found, usual) for name, found in json.loads(json.dumps(meaning)).items()}
    changes = {name: difference(before[name], now[name]) for name in now if name in before}
    told = "; ".join(f"{name}: {line}" for name, lines in changes.items() for line in lines)
    if told and not accept:
        raise UserError(
            f"{out} was begun with other settings ({told}): restore them, give what has changed another name, or go on "
            "with --accept_changes; finished runs are kept in any case"
        )
    return {name for name, lines in changes.items() if lines}


def _compared(found: dict[str, Any], usual: Mapping[str, dict]) -> dict[str, Any]:
    """What a variant is compared by: of its stages what runs are compared by.

    A stage is remembered under its verb, with a name of its own before that and a dot where it has one.
    """
    verbs = {key: key.rsplit(".", 1)[-1] for key in found}
    return {key: decisive(value, usual[verbs[key]]) if verbs[key] in usual else value for key, value in found.items()}


def remember(out: Path, meaning: Mapping[str, Any]) -> None:
    """Keep what variants and data mean, now that nothing is known to be wrong with them."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / RECORD, {**_remembered(out), **meaning})


def _remembered(out: Path) -> dict[str, Any]:
    path = out / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
