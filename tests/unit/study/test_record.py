"""A study goes on when what it stands for is what it stood for, whatever software began it."""

import json
from dataclasses import asdict

import pytest

from rot5.config import PretrainConfig
from rot5.errors import UserError
from rot5.study.record import RECORD, check_unchanged, remember


def test_new_settings_and_those_that_touch_no_result_change_nothing(tmp_path):
    settings = json.loads(json.dumps(asdict(PretrainConfig(corpus="a", validation="b", out=""))))
    remember(tmp_path, {"plain": {"budget": {}, "more.pretrain": settings}})
    record = json.loads((tmp_path / RECORD).read_text())
    del record["plain"]["more.pretrain"]["train"]["optimizer"]["beta2"]
    (tmp_path / RECORD).write_text(json.dumps(record))
    settings["train"]["keep_checkpoints"] = 9
    now = {"plain": {"budget": {}, "more.pretrain": settings}}
    assert check_unchanged(tmp_path, now, False) == set()
    settings["train"]["optimizer"]["beta2"] = 0.5
    with pytest.raises(UserError, match=r"\(plain: more\.pretrain\.train\.optimizer\.beta2: 0\.95 -> 0\.5\)"):
        check_unchanged(tmp_path, now, False)
    assert check_unchanged(tmp_path, now, True) == {"plain"}
