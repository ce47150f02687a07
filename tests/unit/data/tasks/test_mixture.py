"""Mixtures of tasks: shares, formats, held-out tasks, sources of others, and faults of their authors in one line."""

import hashlib
import json
import zlib
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from rot5.data.order import visit
from rot5.data.tasks.examples import BLOCK, SAY_WHY, examples, first_examples, shares, turns
from rot5.data.tasks.mixture import FormatsConfig, MixtureConfig, Task, licence_of, read_mixture, tasks_of
from rot5.data.tasks.templates import Templates, final_answer, read_templates
from rot5.errors import UserError

WORLD = {"world": {"format": "storyworld", "limit": 30}}


def mixture(**settings) -> MixtureConfig:
    return MixtureConfig(**{"sources": WORLD, **settings})


def task(name: str, size: int, **templates) -> Task:
    given = {"inputs": ("{q}?",), "targets": ("{answer}",), "rationales": (), "metric": "exact", **templates}
    items = [{"q": f"{name}{n}", "answer": str(n), "answers": (str(n),)} for n in range(size)]
    return Task(name, Templates(**given), items)


def whatever(text: str, target: str) -> bool:
    return True


def test_shares_go_by_size_up_to_the_cap_and_by_temperature():
    tasks = [task("a", 10), task("b", 90)]
    assert shares(tasks, 0, 1.0) == pytest.approx([0.1, 0.9])
    assert shares(tasks, 30, 1.0) == pytest.approx([0.25, 0.75])
    assert shares(tasks, 0, 2.0) == pytest.approx([1 / 4, 3 / 4])


@pytest.mark.parametrize("sizes", [[1] * 1800, [3, 9997], [1, 1, 1], [2**n for n in range(14)], range(1, 2000)])
def test_of_whole_blocks_every_task_has_its_share_within_one_example(sizes):
    rates = np.array(sizes) / sum(sizes)
    found = np.fromiter(islice(turns(rates, 0), 40 * BLOCK), int)
    for stop in range(BLOCK, len(found) + 1, BLOCK):
        assert np.abs(np.bincount(found[:stop], minlength=len(rates)) - stop * rates).max() < 1


def test_blocks_are_shuffled_each_in_its_own_way():
    found = list(islice(turns([0.5, 0.5], 0), 2 * BLOCK))
    assert sorted(found[:BLOCK]) != found[:BLOCK] != found[BLOCK:]


def test_places_found_in_blocks_are_those_of_one_number_at_a_time():
    found = [each.input for each in examples([task("a", 700)], mixture(), 2100, 3, whatever)]
    for number in (0, 699, 700, 1023, 1024, 1025, 2047, 2048, 2099):
        (place,) = visit([number], 700, 3 + zlib.crc32(b"a"), shuffle=True)
        assert found[number] == f"a{place}?"


def test_the_examples_of_a_mixture_never_change():
    """Shots look ahead over ends of blocks. The digest is of what is mixed now: a change makes other examples."""
    tasks = [task("a", 700), task("b", 5), task("c", 1)]
    formats = FormatsConfig(plain=1, shots=2)
    found = list(examples(tasks, mixture(formats=formats), 2500, 3, whatever))
    assert any(each.format == "shots" for each in found)
    assert hashlib.sha256(repr(found).encode()).hexdigest()[:16] == "b3be8594a3795c15"


def test_every_item_comes_once_in_a_round_and_rounds_differ():
    tasks = [task("a", 7)]
    found = [each.input for each in examples(tasks, mixture(), 21, 3, whatever)]
    rounds = [found[n : n + 7] for n in (0, 7, 14)]
    assert all(sorted(each) == sorted(rounds[0]) for each in rounds) and len({*map(tuple, rounds)}) == 3
    other = [each.input for each in examples([task("b", 7)], mixture(), 7, 3, whatever)]
    assert [each[1:] for each in other] != [each[1:] for each in rounds[0]], "tasks are shuffled each in its own way"


def test_the_same_seed_gives_the_same_examples():
    tasks = tasks_of(mixture(), "here", 0)
    formats = FormatsConfig(plain=1, shots=1, rationale=1)
    runs = [list(examples(tasks, mixture(formats=formats), 200, seed, whatever)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert {each.format for each in runs[0]} == {"plain", "shots", "rationale"}


def test_shots_are_other_examples_of_the_task_as_far_as_they_fit():
    tasks = [task("a", 9)]
    formats = FormatsConfig(plain=0, shots=1, most_shots=3)
    for longest, most in ((1000, 3), (10, 1), (3, 0)):
        found = list(
            examples(tasks, mixture(formats=formats), 60, 0, lambda text, target, top=longest: len(text) <= top)
        )
        counts = Counter(each.input.count("?") - 1 for each in found)
        assert max(counts) == most and (longest < 1000 or set(counts) == {1, 2, 3})
        for each in found:
            *before, asked = each.input.split("\n\n")
            assert asked == f"a{each.target}?"
            for shot in before:
                question, answer = shot.split("\n")
                assert question == f"a{answer}?" and answer != each.target
            assert each.format == ("shots" if before else "plain")


def test_rationales_are_asked_for_and_come_before_the_answer():
    chosen = tasks_of(mixture(tasks=("world/who", "world/title")), "here", 0)
    formats = FormatsConfig(plain=0, rationale=1)
    for each in first_examples(chosen, formats, 20, 0, whatever):
        assert each.input.endswith(SAY_WHY) == (each.task == "world/who") == (each.format == "rationale")
        assert final_answer(each.target) == each.answers[0]
        assert (each.target == each.answers[0]) == (each.task == "world/title")


def test_the_first_examples_are_of_all_tasks_in_turn():
    tasks = [task("a", 9), task("b", 1), task("c", 3)]
    assert "".join(each.task for each in first_examples(tasks, FormatsConfig(), 4, 0, whatever)) == "abcacaca"


def test_what_does_not_fit_is_left_out_or_told():
    tasks = [task("a", 20)]
    found = list(first_examples(tasks, FormatsConfig(), 50, 0, lambda text, target: len(target) == 1))
    assert sorted(each.target for each in found) == [str(n) for n in range(10)]
    with pytest.raises(UserError, match="a: no example fits"):
        list(examples(tasks, mixture(), 5, 0, lambda text, target: False))


def test_held_out_tasks_are_in_one_part_and_not_in_the_other():
    held = mixture(held_out=("world/who", "*/title"))
    names = {each.name for each in tasks_of(held, "here", 0)}
    assert len(names) == 11 and not names & {"world/who", "world/title"}
    named = ("world/title", "world/w*")
    chosen = tasks_of(mixture(held_out=("world/who", "*/title"), tasks=named), "here", 0, named)
    assert [each.name for each in chosen] == ["world/title", "world/word"], "a pattern names none that is held out"


FAIRYTALE = {
    "name": "a-king",
    "split": "train",
    "sections": [{"id": "1", "text": "A king\nhad a cat.\n\nIt slept."}, {"id": "2", "text": "The end."}],
    "qa": [
        {"cor_section": "1", "question": "What did the king\nhave?", "answer1": "a cat", "answer4": "A cat."},
        {"cor_section": "1", "question": "Who slept?", "answer1": "the cat", "answer4": ""},
        {"cor_section": "1", "question": "Unanswered?", "answer1": "", "answer4": " "},
        {"cor_section": "2", "question": "Unanswered?"},
        {"cor_section": "1,2", "question": "All?", "answer1": "no"},
    ],
}
NATURAL = {
    "Definition": ["Say the opposite."],
    "Categories": ["Antonyms"],
    "Instances": [
        {"id": "1", "input": "hot", "output": ["cold", "cool"]},
        {"id": "2", "input": "up", "output": "down"},
        {"id": "3", "input": "blue", "output": []},
    ],
}


@pytest.fixture
def theirs(tmp_path):
    """Files in the formats of others."""
    tales = [FAIRYTALE, {**FAIRYTALE, "split": "val"}]
    (tmp_path / "tales.jsonl").write_text("\n".join(map(json.dumps, tales)))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "task1_opposites.json").write_text(json.dumps(NATURAL))
    (tmp_path / "tasks" / "task2_same.json").write_text(json.dumps({**NATURAL, "Definition": "Repeat."}))
    rows = [{"inputs": "1+1=", "targets": "2", "task_name": "sums"}, {"inputs": "a", "targets": "b"}]
    (tmp_path / "flan.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "more.tsv").write_text("in\tout\tnamed\nin2\tout2")
    return tmp_path


def test_the_licence_of_a_mixture_is_that_of_all_its_texts(theirs):
    def of(**flan) -> str:
        theirs_too = {"format": "flan", "name": str(theirs / "flan.jsonl"), **flan}
        return licence_of(tasks_of(mixture(sources={**WORLD, "flan": theirs_too}), "here", 0))

    assert of(licence="MIT") == "Apache-2.0 AND MIT"
    assert of(licence="Apache-2.0") == "Apache-2.0"
    assert of() == "unknown"


def test_formats_of_others_are_read(theirs):
    sources = {
        "tales": {"name": str(theirs / "tales.jsonl"), "format": "fairytaleqa"},
        "natural": {"name": str(theirs / "tasks"), "format": "natural-instructions"},
        "flan": {"name": str(theirs / "flan.jsonl"), "format": "flan"},
        "tsv": {"name": str(theirs / "more.tsv"), "format": "flan"},
    }
    found = {each.name: each for each in tasks_of(mixture(sources=sources), "here", 0)}
    assert {name for name in found if not name.startswith("tales/")} == {
        "natural/task1_opposites", "natural/task2_same", "flan/sums", "flan/flan", "tsv/named", "tsv/more"
    }  # fmt: skip
    assert len(found["tales/question"].items) == 1, "the other split's tale is left out"
    item = found["tales/question"].items[0]
    assert item["story"] == "A king had a cat.\nIt slept." and item["question"] == "What did the king have?"
    assert item["answers"] == ("a cat", "A cat.") and item["evidence"] == "A king had a cat."
    opposites = first_examples([found["natural/task1_opposites"]], FormatsConfig(), 9, 0, whatever)
    assert {(each.input, each.target, each.answers) for each in opposites} == {
        ("Say the opposite.\n\nhot", "cold", ("cold", "cool")),
        ("Say the opposite.\n\nup", "down", ("down",)),
    }
    sources["natural"]["limit"] = 1
    limited = {each.name: len(each.items) for each in tasks_of(mixture(sources=sources), "here", 0)}
    assert limited["natural/task1_opposites"] == limited["natural/task2_same"] == 1, "a limit is of each task"
    (sums,) = first_examples([found["flan/sums"]], FormatsConfig(), 9, 0, whatever)
    assert (sums.input, sums.target) == ("1+1=", "2")


@pytest.mark.parametrize(
    ("name", "format_", "content", "message"),
    [
        ("a.jsonl", "fairytaleqa", '{"split": "train"}', r"a\.jsonl, line 1: no tale of FairytaleQA \(KeyError"),
        ("a.json", "natural-instructions", '{"Definition": []}', r"a\.json: no task of Super-Nat.* \(IndexError"),
        ("a.jsonl", "flan", '{"inputs": 3, "targets": ""}', r"line 1: no example of Flan \(TypeError"),
        ("a.tsv", "flan", "one", "line 1: 1 columns"),
        ("a.txt", "instruct", "Summary: x", "no records in"),
        ("a.json", "natural-instructions", '{"Definition": "", "Instances": []}', "no records in"),
    ],
)
def test_files_that_are_none_of_these_are_told(tmp_path, name, format_, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        tasks_of(mixture(sources={"x": {"name": str(tmp_path / name), "format": format_}}), "here", 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["world/sumary"]}, "no task 'world/sumary': did you mean world/summary"),
        ({"held_out": ["*"]}, "no tasks are left"),
        ({"sources": {}}, "sources are missing"),
        ({"sources": {"w": {"format": "storywrld"}}}, "sources.w: unknown format 'storywrld'"),
        ({"sources": {"w": {"limt": 3}}}, "sources.w: unknown key 'limt': did you mean limit"),
        ({"sources": {"w": {"format": "flan", "name": "nowhere.tsv"}}}, "no such file or folder: nowhere.tsv"),
        ({"sources": {"w": {"name": "tales.jsonl"}}}, "'tales.jsonl' is no storyworld: say its format"),
        (
            {"sources": {"w": {"format": "flan", "name": "/", "split": "test"}}},
            "format flan knows no split 'test': name the file that holds it",
        ),
        ({"temperature": 0}, "temperature must be above 0"),
        ({"formats": {"plain": 0}}, "one of them above"),
        ({"formats": {"plan": 1}}, "unknown key 'formats.plan': did you mean formats.plain"),
        ({"cap": "x"}, "cap"),
        ({"templates": "none.yaml"}, "cannot read the recipe none.yaml"),
    ],
)
def test_faults_of_a_mixture_are_told_in_one_line(tmp_path, settings, message):
    path = tmp_path / "mixture.yaml"
    path.write_text(json.dumps({"sources": WORLD, **settings}))
    with pytest.raises(UserError, match=message) as told:
        tasks_of(read_mixture(path), str(path), 0)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"inputs": ["{storry}"], "targets": ["{answer}"]}, r"names 'storry', which is no field: did you mean story"),
        ({"inputs": ["{answers}"], "targets": ["{answer}"]}, "names 'answers', which is no field"),
        ({"inputs": ["{story"], "targets": ["{answer}"]}, "for braces that are text"),
        ({"inputs": ["{story[0]}"], "targets": ["{answer}"]}, "field that is no name"),
        ({"inputs": ["{}"], "targets": ["{answer}"]}, "field that is no name"),
        ({"inputs": [], "targets": ["{answer}"]}, "inputs are missing"),
        ({"inputs": ["a"], "targets": "b"}, "targets must be a list of texts"),
        ({"inputs": ["a"], "targets": ["b"], "metric": "rogue"}, "unknown metric 'rogue': did you mean rouge"),
        ({"input": ["a"]}, "unknown key 'input': did you mean inputs"),
        (["a"], "must be a group"),
    ],
)
def test_faults_of_templates_are_told_in_one_line(tmp_path, templates, message):
    path = tmp_path / "templates.yaml"
    path.write_text(json.dumps({"summary": templates}))
    with pytest.raises(UserError, match=message) as told:
        tasks_of(mixture(templates=str(path)), "here", 0)
    assert "\n" not in str(told.value)


def test_own_templates_stand_in_for_those_of_the_category(tmp_path):
    path = tmp_path / "templates.yaml"
    path.write_text('summary: {inputs: ["{{S}} {story}"], targets: ["= {answer}"], metric: f1}')
    assert read_templates(path)["summary"].metric == "f1"
    found = {each.name: each for each in tasks_of(mixture(templates=str(path)), "here", 0)}
    (first,) = first_examples([found["world/summary"]], FormatsConfig(), 1, 0, whatever)
    assert first.input.startswith("{S} ") and first.target.startswith("= ") and first.metric == "f1"
    assert found["world/title"].templates.metric == "exact"
