"""Text cut into parts: every document is in one of them, once and in order, wherever the cuts fall."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot5.data import files
from rot5.data.parts import WHOLE, Part, PartsConfig, problems, spans
from rot5.data.sources import Documents, SourceConfig
from rot5.errors import UserError

CONTENTS = {
    "text": "\n<|endoftext|>\n".join(f"Text {n}, " + "long " * (n % 7) + "enough." for n in range(40)),
    "jsonl": "".join(json.dumps({"text": "x" * (n % 9) + str(n)}) + "\n" for n in range(60)),
    "csv": "text\n" + "".join(f'"{n},\n{n}"\n' for n in range(30)),
}


def parts_of(config: SourceConfig, number: int) -> list[list[str]]:
    return [list(Documents(config, Part(n, number))) for n in range(number)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("kind", sorted(CONTENTS))
@pytest.mark.parametrize("number", [1, 2, 3, 7, 50, 3000])
def test_parts_are_the_whole_in_order(tmp_path, kind, number, mark):
    path = tmp_path / f"a{files.SUFFIXES[kind]}"
    path.write_bytes(mark + CONTENTS[kind].encode())
    config = SourceConfig(name=str(path))
    whole = list(Documents(config))
    found = parts_of(config, number)
    assert [text for part in found for text in part] == whole
    assert len(whole) >= 30
    if kind != "csv" and number < 8:
        assert all(found)


@pytest.mark.parametrize("kind", sorted(CONTENTS))
@pytest.mark.parametrize("number", [2, 5, 17])
def test_folders_of_files_are_cut_too(tmp_path, kind, number):
    for n in range(6):
        content = CONTENTS[kind] if n != 3 else ""
        (tmp_path / f"{n}{files.SUFFIXES[kind]}").write_text(content)
    config = SourceConfig(name=str(tmp_path))
    whole = list(Documents(config))
    assert [text for part in parts_of(config, number) for text in part] == whole
    assert len(whole) >= 5


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("ab<|>\r\n é", max_size=12), max_size=12),
    st.sampled_from(["", "\ufeff"]),
    st.integers(1, 40),
)
def test_any_text_is_cut_well(tmp_path_factory, texts, mark, number):
    path = tmp_path_factory.mktemp("cut") / "a.txt"
    path.write_bytes((mark + files.SEPARATOR.join(texts)).encode())
    found = [text for n in range(number) for text in files.texts(path, Part(n, number))]
    assert found == list(files.texts(path))


def test_a_part_reads_its_own_bytes_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(CONTENTS["text"] * 50)
    read = []
    monkeypatch.setattr(files, "_BLOCK", 64)
    real = files._decode
    monkeypatch.setattr(files, "_decode", lambda path, data, at: read.append(at) or real(path, data, at))
    list(files.texts(path, Part(3, 10)))
    size = path.stat().st_size
    assert min(read) >= 0.3 * size and max(read) < 0.4 * size


def test_storyworld_is_cut_by_records():
    config = SourceConfig(limit=23, split="test")
    assert [text for part in parts_of(config, 5) for text in part] == list(Documents(config))


def test_the_whole_of_a_pipe_has_no_size(tmp_path):
    assert [span.stop > 2**60 for span in spans([tmp_path / "a pipe"], WHOLE)] == [True]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"executor": "slrum", "partition": "a"}, "unknown executor 'slrum' of parts: did you mean slurm"),
        ({"duplicates": "nearly"}, "did you mean near"),
        ({"number": 0}, "number of parts must be from 1"),
        ({"workers": -1}, "workers -1"),
        ({"executor": "slurm"}, "set parts.partition"),
    ],
)
def test_wrong_settings_are_told(wrong, message):
    assert message in problems(PartsConfig(**wrong))[0]
    assert not problems(PartsConfig(number=4, executor="slurm", partition="cpu", duplicates="near"))


def test_an_empty_table_is_told_by_a_part_as_by_the_whole(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    for part in (WHOLE, Part(0, 3)):
        with pytest.raises(UserError, match="as Parquet"):
            list(Documents(SourceConfig(name=str(tmp_path)), part))
