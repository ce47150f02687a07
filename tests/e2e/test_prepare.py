"""`rot5 prepare --resume` of a corpus that is whole."""

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch, corpora, rot5):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("A dog ran.<|endoftext|>A cat slept.")
    given = ("prepare", "text.txt", "--tokenizer", corpora / "stories", "--out", "out")
    assert rot5(*given).code == 0
    return given


def test_a_whole_corpus_of_the_same_settings_is_told_again(place, rot5, tmp_path):
    assert "2 documents" in rot5(*place, "--resume").out
    (tmp_path / "text.txt").unlink()
    assert "2 documents" in rot5(*place, "--resume").out, "its text is not needed any more"


def test_one_of_other_settings_or_another_text_is_no_success(place, rot5, tmp_path):
    called = rot5(*place, "--source.limit", 1, "--resume")
    assert called.code == 2 and called.err.count("\n") == 1
    assert "out was made with other settings (source): restore them" in called.err
    (tmp_path / "text.txt").write_text("A dog ran.")
    assert "other settings (bytes)" in rot5(*place, "--resume").err
    assert rot5(*place, "--overwrite").code == 0 and "1 documents" in rot5(*place, "--resume").out
