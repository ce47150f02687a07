"""Every kind of source, and what is said about faulty ones."""

import csv
import json
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from rot5.data.instruct import InstructRecord, looks_like_instruct, parse_instruct
from rot5.data.sources import Documents, Pair, SourceConfig, licence_of, pairs, problems
from rot5.errors import UserError

RECORDS = """Features: Dialogue, Twist
Words: quit, oak, gloomy
Summary: Sara and Ben go home.
Story: 

Sara was cold.
"Ben," she said.
Mom: come home!
<|endoftext|>
Random sentence: They are very excited.
Summary: Tom flies.
Story: 

Tom is excited.
Random thoughts: none.
<|endoftext|>
Words: ride
Story: 

Lily has no summary here.
<|endoftext|>
"""


def path_of(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def read(name, **settings):
    return list(Documents(SourceConfig(name=name, **settings)))


def read_pairs(name, **settings):
    return list(pairs(SourceConfig(name=name, **settings)))


class TestInstructRecords:
    def test_fields_in_any_order(self):
        first = parse_instruct("Features: Dialogue, Twist\nWords: a, b\nSummary: S.\nStory: \n\nOnce.\n\nEnd.\n")
        assert first == InstructRecord(("Dialogue", "Twist"), ("a", "b"), "S.", None, "Once.\n\nEnd.")
        assert parse_instruct("Summary: S.\nWords: a, b\nFeatures: Dialogue, Twist\nStory: Once.\n\nEnd.") == first

    def test_random_sentence_is_one_field_of_two_words(self):
        record = parse_instruct("Random sentence: They want to fly.\nSummary: They fly.\nStory: \n\nThey flew.")
        assert record.random_sentence == "They want to fly."
        assert record.summary == "They fly."

    def test_lines_with_colons_inside_a_story_stay(self):
        story = 'Mom: come here!\nRandom: x\nFeatures were odd.\nHe said: "Summary: no"\n Words: indented'
        assert parse_instruct(f"Summary: S.\nStory: \n\n{story}").story == story

    def test_a_missing_field_behind_the_story_ends_it(self):
        record = parse_instruct("Words: a\nStory: \n\nOnce.\nSummary: S one\nand two.\nRandom sentence: R.")
        assert (record.story, record.summary, record.random_sentence) == ("Once.", "S one and two.", "R.")

    def test_a_field_that_was_there_before_does_not_end_the_story(self):
        assert parse_instruct("Summary: S.\nStory: Once.\nSummary: not a field").story == "Once.\nSummary: not a field"
        assert parse_instruct("Story: Once.\nSummary:not a field").story == "Once.\nSummary:not a field"

    def test_what_is_missing_is_none_or_empty(self):
        assert parse_instruct("Story: Once.") == InstructRecord((), (), None, None, "Once.")
        assert parse_instruct("Summary: \nStory: Once.").summary is None
        assert parse_instruct("Summary: S.").story == ""
        assert parse_instruct("no fields at all").story == ""

    def test_white_space_other_than_line_feeds_stays(self):
        assert parse_instruct("Story: a\u2028b\x0bc\td").story == "a\u2028b\x0bc\td"

    def test_recognized_by_a_story_and_another_field(self):
        assert looks_like_instruct("Words: a\nStory: b")
        assert not looks_like_instruct("Story: b")
        assert not looks_like_instruct("Once upon a time.\nMom: Words: and Story: too")


class TestText:
    def test_split_at_the_separator(self, tmp_path):
        name = path_of(tmp_path, "a.txt", "\nOne.\n\nStill one\n<|endoftext|>\n\n<|endoftext|>Two<|endoftext|>three\n")
        assert read(name) == ["One.\n\nStill one", "Two", "three"]

    def test_separators_and_characters_across_blocks(self, tmp_path, monkeypatch):
        content = "añb<|endoftext|>c☕d<|endoftext|>🙂"
        name = path_of(tmp_path, "a.txt", content)
        for size in range(1, 12):
            monkeypatch.setattr("rot5.data.files._BLOCK", size)
            assert read(name) == ["añb", "c☕d", "🙂"]

    def test_byte_order_mark_and_windows_lines(self, tmp_path):
        assert read(path_of(tmp_path, "a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n")) == ["one\ntwo"]

    def test_a_folder_has_one_document_per_file(self, tmp_path):
        path_of(tmp_path, "b.txt", "second <|endoftext|> kept whole\n")
        path_of(tmp_path, "a.txt", "first\n")
        path_of(tmp_path, "c.md", "not read")
        path_of(tmp_path, "empty.txt", "")
        (tmp_path / "sub").mkdir()
        path_of(tmp_path / "sub", "d.txt", "third")
        assert read(str(tmp_path)) == ["first", "second <|endoftext|> kept whole", "third"]

    def test_limit(self, tmp_path):
        name = path_of(tmp_path, "a.txt", "a<|endoftext|>b<|endoftext|>c")
        assert read(name, limit=2) == ["a", "b"]
        assert read(name, limit=9) == ["a", "b", "c"]

    def test_no_pairs_in_plain_text(self, tmp_path):
        with pytest.raises(UserError, match="plain text without summaries"):
            read_pairs(path_of(tmp_path, "a.txt", "Once."))


class TestInstructFiles:
    def test_recognized_and_reduced_to_stories(self, tmp_path):
        name = path_of(tmp_path, "a.txt", RECORDS)
        expected = [
            'Sara was cold.\n"Ben," she said.\nMom: come home!',
            "Tom is excited.\nRandom thoughts: none.",
            "Lily has no summary here.",
        ]
        assert read(name) == read(name, format="instruct") == expected

    def test_whole_records_or_plain_text_on_request(self, tmp_path):
        name = path_of(tmp_path, "a.txt", RECORDS)
        whole = [record.strip() for record in RECORDS.split("<|endoftext|>")[:3]]
        assert read(name, text="record") == whole
        assert read(name, format="text") == whole

    def test_pairs_only_where_there_is_a_summary(self, tmp_path):
        found = read_pairs(path_of(tmp_path, "a.txt", "Words: x\nStory: y<|endoftext|>" + RECORDS))
        assert [(pair.index, pair.target, pair.references) for pair in found] == [
            (1, "Sara and Ben go home.", ("Sara and Ben go home.",)),
            (2, "Tom flies.", ("Tom flies.",)),
        ]
        assert found[1].input == "Tom is excited.\nRandom thoughts: none."


class TestTables:
    ROWS = (('  Once, a "dog".\nIt ran ', "A dog ran."), ("Tom 🙂 left.", "Tom left."), (" ", "empty"), ("x", ""))

    def written(self, tmp_path, kind):
        path = tmp_path / f"t.{kind}"
        if kind == "jsonl":
            lines = [json.dumps({"n": 1, "story": story, "summary": summary}) for story, summary in self.ROWS]
            path.write_text("\n".join([*lines[:1], "", *lines[1:]]))
        elif kind == "csv":
            with open(path, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("summary", "story"), *((summary, story) for story, summary in self.ROWS)])
        else:
            stories, summaries = zip(*self.ROWS, strict=True)
            table = pyarrow.table({"n": [1] * 4, "story": list(stories), "summary": list(summaries)})
            pyarrow.parquet.write_table(table, path)
        return str(path)

    @pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
    def test_documents_are_untouched_and_empty_ones_left_out(self, tmp_path, kind):
        name = self.written(tmp_path, kind)
        assert read(name, text_column="story") == [self.ROWS[0][0], self.ROWS[1][0], "x"]

    @pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
    def test_pairs(self, tmp_path, kind):
        found = read_pairs(self.written(tmp_path, kind))
        assert found == [Pair(story, summary, (summary,), n) for n, (story, summary) in enumerate(self.ROWS[:2])]
        swapped = read_pairs(self.written(tmp_path, kind), input_column="summary", target_column="story")
        assert swapped[0][:2] == self.ROWS[0][::-1]

    @pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
    def test_a_missing_column_is_named_with_its_nearest(self, tmp_path, kind):
        with pytest.raises(UserError, match="no column 'storys': did you mean story"):
            read(self.written(tmp_path, kind), text_column="storys")

    def test_a_line_without_the_column_is_told_by_number(self, tmp_path):
        name = path_of(tmp_path, "a.jsonl", '{"text": "a"}\n\n{"txt": "b"}\n')
        found = iter(Documents(SourceConfig(name=name)))
        assert next(found) == "a"
        with pytest.raises(UserError, match=r"a\.jsonl, line 3: no column 'text': did you mean txt"):
            next(found)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"text": ', "line 2: not valid JSON"),
            ("[1]", "line 2: not a JSON object"),
            ('{"text": 3}', "line 2: column 'text' holds int"),
            ('{"text": null}', "line 2: column 'text' holds nothing"),
        ],
    )
    def test_faulty_json_lines(self, tmp_path, line, message):
        with pytest.raises(UserError, match=message):
            read(path_of(tmp_path, "a.jsonl", '{"text": "a"}\n' + line + "\n"))

    def test_faulty_csv_and_parquet(self, tmp_path):
        with pytest.raises(UserError, match=r"line 3: column 'text' holds nothing"):
            read(path_of(tmp_path, "a.csv", "n,text\n1,a\n2\n"))
        with pytest.raises(UserError, match="as Parquet"):
            read(path_of(tmp_path, "a.parquet", "not parquet"))

    def test_a_csv_field_longer_than_the_standard_limit(self, tmp_path):
        assert read(path_of(tmp_path, "a.csv", "text\n" + "a" * 200_000)) == ["a" * 200_000]

    def test_format_overrides_the_suffix(self, tmp_path):
        assert read(path_of(tmp_path, "a.data", '{"text": "a"}'), format="jsonl") == ["a"]


class TestFaults:
    def test_not_utf8_is_told_by_byte_and_line(self, tmp_path):
        for mark in (b"", b"\xef\xbb\xbf"):
            for name in ("a.txt", "a.jsonl", "a.csv"):
                content = mark + b'{"text": "a"}\n{"text": "b"}\n\xff\n'
                with pytest.raises(UserError, match=rf"not UTF-8 text at byte {len(content) - 2} \(line 3\)"):
                    read(path_of(tmp_path, name, content), text_column='{"text": "a"}' if name == "a.csv" else "text")
        (tmp_path / "folder").mkdir()
        path_of(tmp_path / "folder", "a.txt", b"ok\n\xe9t\xe9")
        with pytest.raises(UserError, match=r"byte 3 \(line 2\)"):
            read(str(tmp_path / "folder"))

    @pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
    @pytest.mark.parametrize("content", ["", "\n", "text\n"])
    def test_no_documents(self, tmp_path, name, content):
        if (name, content) not in (("a.txt", "text\n"), ("a.jsonl", "text\n")):
            with pytest.raises(UserError, match=rf"no documents in .*{name}|no column"):
                read(path_of(tmp_path, name, content))

    def test_no_pairs(self, tmp_path):
        with pytest.raises(UserError, match="no pairs in"):
            read_pairs(path_of(tmp_path, "a.txt", "Words: a\nStory: b"))

    def test_a_folder_without_texts(self, tmp_path):
        with pytest.raises(UserError, match=r"no \.txt files"):
            read(str(tmp_path))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"name": "tinystorys"}, "did you mean tinystories"),
            ({"name": "no/such/file.txt"}, "no such file or folder: no/such/file.txt"),
            ({"format": "josnl", "limit": 1}, "unknown format 'josnl' of a source: did you mean jsonl"),
            ({"text": "tale", "limit": 1}, "unknown text 'tale'"),
            ({"split": "tests", "limit": 1}, "did you mean test"),
            ({"limit": 0}, "at least 1, not 0"),
            ({}, "storyworld has no end"),
            ({"name": "tinystories", "split": "held_out"}, "no split held_out"),
        ],
    )
    def test_wrong_settings_are_refused_before_anything_is_read(self, settings, message):
        config = SourceConfig(**settings)
        for call in (Documents, pairs):
            if config.name != "tinystories" or call is Documents:
                with pytest.raises(UserError, match=message):
                    call(config)
        assert len(problems(config)) == 1

    def test_files_have_no_splits_and_need_a_known_suffix(self, tmp_path):
        assert "no split 'test'" in problems(SourceConfig(name=path_of(tmp_path, "a.txt", "a"), split="test"))[0]
        assert "suffix" in problems(SourceConfig(name=path_of(tmp_path, "a.md", "a")))[0]
        assert "no .csv files" in problems(SourceConfig(name=str(tmp_path), format="csv"))[0]
        assert "name the file" in problems(SourceConfig(name=str(tmp_path), format="instruct"))[0]
        path_of(tmp_path, "b.csv", "text\na\n")
        assert "csv and text: set the format" in problems(SourceConfig(name=str(tmp_path)))[0]
        assert not problems(SourceConfig(name=str(tmp_path), format="csv"))

    def test_all_problems_come_together(self):
        with pytest.raises(UserError, match=r"format.*; .*split.*; .*limit"):
            Documents(SourceConfig(format="x", split="y", limit=0))


class TestStoryWorld:
    @pytest.fixture(autouse=True)
    def world(self, monkeypatch):
        """A world whose stories say where they come from."""

        class StoryWorld:
            def __init__(self, seed, held_out=False):
                self.label = f"{seed}{'h' if held_out else ''}"

            def __getitem__(self, n):
                story = f"{self.label}:{n}"
                return SimpleNamespace(
                    index=n,
                    story=story,
                    summaries=(f"a {story}", f"b {story}", f"c {story}"),
                    to_instruct=lambda: f"Summary: a {story}\nStory: \n\n{story}\n<|endoftext|>\n",
                )

        module = ModuleType("rot5.data.storyworld")
        module.StoryWorld, module.is_test = StoryWorld, lambda n: n % 10 in (1, 3, 7)
        monkeypatch.setitem(sys.modules, "rot5.data.storyworld", module)

    def test_splits(self):
        config = SourceConfig(limit=5, seed=4)
        assert list(Documents(config)) == ["4:0", "4:2", "4:4", "4:5", "4:6"]
        for split in ("test", "validation"):
            assert list(Documents(replace(config, split=split))) == ["4:1", "4:3", "4:7", "4:11", "4:13"]
        assert list(Documents(replace(config, split="held_out"))) == ["4h:0", "4h:1", "4h:2", "4h:3", "4h:4"]

    def test_whole_records(self):
        config = SourceConfig(limit=1, text="record")
        assert list(Documents(config)) == ["Summary: a 0:0\nStory: \n\n0:0"]

    def test_pairs_have_three_references_and_the_number_of_the_story(self):
        found = list(pairs(SourceConfig(limit=2, split="test")))
        assert found[1] == Pair("0:3", "a 0:3", ("a 0:3", "b 0:3", "c 0:3"), 3)
        assert [pair.index for pair in found] == [1, 3]


class TestHub:
    @pytest.fixture
    def asked(self, tmp_path, monkeypatch):
        """Puts small local data sets in place of the hub's and notes what was asked for."""
        import datasets

        stories = ["One.", "Two.", ""]
        records = [record.strip() for record in RECORDS.split("<|endoftext|>")[:3]]
        real, asked = datasets.load_dataset, []
        for name, rows in (("TinyStories", stories), ("TinyStories-Instruct-hf", records)):
            for split, chosen in (("train", rows), ("validation", rows[:1])):
                path = tmp_path / name / f"{split}.jsonl"
                path.parent.mkdir(exist_ok=True)
                path.write_text("".join(json.dumps({"text": text}) + "\n" for text in chosen))

        def load(name, **settings):
            asked.append((name, settings))
            folder = tmp_path / name.split("/")[1]
            files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation")}
            return real("json", data_files=files, **settings)

        monkeypatch.setattr(datasets, "load_dataset", load)
        return asked

    def test_stories_are_streamed(self, asked):
        assert read("tinystories") == ["One.", "Two."]
        assert read("tinystories", split="test") == read("tinystories", split="validation") == ["One."]
        assert asked[0] == ("roneneldan/TinyStories", {"split": "train", "streaming": True})
        assert asked[1] == ("roneneldan/TinyStories", {"split": "validation", "streaming": True})

    def test_instruct(self, asked):
        assert read("tinystories-instruct")[2] == "Lily has no summary here."
        assert read("tinystories-instruct", text="record", limit=1)[0].startswith("Features: Dialogue")
        assert [pair.target for pair in read_pairs("tinystories-instruct")] == ["Sara and Ben go home.", "Tom flies."]
        assert asked[0][0] == "skeskinen/TinyStories-Instruct-hf"

    def test_stories_alone_have_no_pairs(self):
        with pytest.raises(UserError, match="tinystories has no summaries"):
            read_pairs("tinystories")

    def test_a_hub_out_of_reach(self, monkeypatch):
        import datasets

        def load(name, **settings):
            raise ConnectionError("no route\nto the hub")

        monkeypatch.setattr(datasets, "load_dataset", load)
        with pytest.raises(UserError, match=r"cannot read roneneldan/TinyStories from the hub: no route; the path"):
            read("tinystories")


def test_a_licence_is_what_was_said_or_is_known():
    assert licence_of(SourceConfig(limit=1)) == "Apache-2.0"
    assert licence_of(SourceConfig(name="mine.txt")) == "unknown"
    assert licence_of(SourceConfig(name="tinystories", licence="other")) == "other"


def test_settings_need_no_heavy_imports():
    import subprocess

    code = "import rot5.data.sources, sys; print({'torch', 'datasets', 'pyarrow', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
