"""StoryWorld: what holds of every record, of a sample as a whole, and of the two streams."""

import dataclasses
import io
import json
import re
import statistics
import subprocess
import sys
import time
from collections import Counter

import pytest
from rouge_score import rouge_scorer

from rot5.data.storyworld import StoryWorld, is_test, write_instruct, write_jsonl
from rot5.data.storyworld.compose import FEATURES, stable_random
from rot5.data.storyworld.lexicon import NAMES, NOUNS, OBJECTS
from rot5.data.storyworld.plots import PLOTS
from rot5.data.storyworld.reserved import RESERVED_HEROES, RESERVED_SIDE_EVENTS, RESERVED_THINGS
from rot5.data.storyworld.side_events import SIDE_EVENTS
from rot5.data.storyworld.world import World, parse_events

SENTENCE_END = re.compile(r'(?<=[.!?])\s+(?=[A-Z"])|\n')
QUOTED = re.compile(r'"[^"]*"')
NOUNS_OF_OBJECTS = {thing.noun for thing in OBJECTS}


def narration(story: str) -> list[str]:
    return [QUOTED.sub('"', sentence) for sentence in SENTENCE_END.split(story)]


def is_stated(fact, story: str) -> bool:
    """Whether one sentence of narration states the fact as the package's docstring promises."""
    last = fact.object.split()[-1]
    if fact.relation == "ended":
        return True
    if fact.relation == "was at":
        pattern = rf"(?=.*\b{fact.subject}\b).*\b(in|on|at|to) the {fact.object}\b"
    elif fact.relation == "felt":
        pattern = rf"\b{fact.subject}\b.*\b(felt|was) {fact.object}\b"
    else:
        pattern = rf"\b{fact.subject.split()[-1]}\b.*\b{fact.relation}\b.*\b{last}\b"
    return any(re.search(pattern, sentence) for sentence in narration(story))


def check(record) -> None:
    assert 80 <= len(record.story.split()) <= 170
    assert len(set(record.summaries)) == 3
    assert all(18 <= len(summary.split()) <= 40 for summary in record.summaries)
    assert all(re.search(rf"\b{word}\b", record.story) for word in record.words)
    assert record.sentence in record.story
    assert record.sentence[-1] in ".!?"
    assert set(record.features) <= set(FEATURES)
    assert ("Dialogue" in record.features) == ('"' in record.story)
    assert ("BadEnding" in record.features) == (("story", "ended", "sad") in record.facts)
    assert len(record.questions) >= 3
    assert record.story.count('"') % 2 == 0
    text = "\n".join((record.story, *record.summaries))
    assert not re.search(r"[{}\[\]|]|  |(^|[.!?] |\n)[a-z]| a [aeiou]\w| an [^aeiou]", text), text
    for fact in record.facts:
        assert is_stated(fact, record.story), (fact, record.story)


def test_every_record_keeps_its_promises():
    for n in range(600):
        check(StoryWorld()[n])
        check(StoryWorld(held_out=True)[n])


def test_no_wording_mentions_an_object_its_plot_may_be_about():
    things = {plot.name: {thing.noun for thing in plot.things} for plot in PLOTS}
    for n in range(3000):
        record = StoryWorld()[n]
        told = {fact.object.split()[-1] for fact in record.facts} & NOUNS_OF_OBJECTS
        named = set(re.findall("[a-z]+", record.story)) & things[record.plot]
        assert named <= told, (named - told, record.story)


def test_summaries_name_the_main_things():
    for n in range(1000):
        record = StoryWorld()[n]
        felt = next(fact.object for fact in record.facts if fact.relation == "felt")
        noun = record.thing.split()[-1]
        for summary in record.summaries:
            assert {record.hero, record.other, noun, record.place, felt} <= set(re.findall("[A-Za-z]+", summary)), (
                summary
            )


def test_a_record_is_a_function_of_seed_and_index():
    assert StoryWorld(seed=5)[12] == StoryWorld(seed=5)[12]
    assert StoryWorld(seed=5)[12].story != StoryWorld(seed=6)[12].story
    assert StoryWorld(seed=5)[12].story != StoryWorld(seed=5, held_out=True)[12].story
    # Another process, where strings hash differently, tells the same.
    program = "from rot5.data.storyworld import StoryWorld; print([StoryWorld()[n] for n in range(20)])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == f"{[StoryWorld()[n] for n in range(20)]}\n"
    assert stable_random(0, "main", 0).getrandbits(32) == 907170618


def test_splits():
    assert [n for n in range(20) if is_test(n)] == [1, 3, 7, 11, 13, 17]
    assert [StoryWorld()[n].split for n in range(4)] == ["train", "test", "train", "test"]
    assert StoryWorld(held_out=True)[2].split == "held_out"
    with pytest.raises(IndexError):
        StoryWorld()[-1]


def test_held_out_pairs_stay_out_of_the_normal_stream():
    for n in range(1000):
        for held_out in (False, True):
            record = StoryWorld(held_out=held_out)[n]
            assert (record.side_event in RESERVED_SIDE_EVENTS[record.plot]) == held_out
            assert (record.hero in RESERVED_HEROES[record.plot]) == held_out
            assert (record.thing.split()[-1] in RESERVED_THINGS[record.plot]) == held_out


def test_nothing_is_reserved_everywhere():
    for plot in PLOTS:
        assert 0.1 <= len(RESERVED_HEROES[plot.name]) / len(NAMES) <= 0.2
        assert RESERVED_SIDE_EVENTS[plot.name]
        assert RESERVED_THINGS[plot.name]
    for thing in OBJECTS:
        assert any(thing in plot.things and thing.noun not in RESERVED_THINGS[plot.name] for plot in PLOTS)
    for side in SIDE_EVENTS:
        assert any(side.name not in RESERVED_SIDE_EVENTS[plot.name] for plot in PLOTS)


def test_lexicon():
    assert not {name.lower() for name in NAMES} & NOUNS
    assert len(NAMES) == len(set(NAMES))
    assert len({thing.noun for thing in OBJECTS}) == len(OBJECTS) >= 80
    assert all(("k" in thing.uses) == bool(thing.skill) for thing in OBJECTS)


def test_the_world_refuses_what_cannot_be():
    world = World({"H": "Mia", "F": "Ben", "O": "red kite"})
    for event in parse_events("own HO; lose HO"):
        world.happen(event)
    with pytest.raises(ValueError, match="holder of red kite"):
        world.happen(("give", "HFO"))
    with pytest.raises(ValueError, match="no such event"):
        parse_events("eat HO")


def read_instruct(text: str) -> dict[str, str]:
    head, story = text.split("Story: \n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    return fields | {"Story": story.removesuffix("\n")}


def test_instruct_text_reads_back():
    records = [StoryWorld()[n] for n in range(200)]
    file = io.StringIO()
    write_instruct(records, file)
    texts = file.getvalue().split("<|endoftext|>\n")
    assert texts.pop() == ""
    orders = set()
    for record, text in zip(records, texts, strict=True):
        fields = read_instruct(text)
        orders.add(tuple(fields))
        assert fields["Story"] == record.story
        assert fields["Summary"] in record.summaries
        assert set(fields.get("Words", record.words[0]).split(", ")) <= set(record.words)
        assert fields.get("Random sentence", record.sentence) == record.sentence
        assert fields.get("Features", ", ".join(record.features)) == ", ".join(record.features)
    assert len(orders) > 10


def test_json_lines_read_back():
    record = StoryWorld()[3]
    file = io.StringIO()
    write_jsonl([record, record], file)
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first == second == record.to_json()
    assert set(first) == {field.name for field in dataclasses.fields(record)}


def rouge_l(world, count: int) -> tuple[float, float, float]:
    """ROUGE-L of the first and of the best sentence, and of references against each other; means in percent."""
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)

    def score(a: str, b: str) -> float:
        return 100 * scorer.score(a, b)["rougeL"].fmeasure

    first, best, mutual = [], [], []
    for n in range(count):
        record = world[n]
        sentences = [
            statistics.mean(score(summary, sentence) for summary in record.summaries)
            for sentence in SENTENCE_END.split(record.story)
        ]
        first.append(sentences[0])
        best.append(max(sentences))
        a, b, c = record.summaries
        mutual += [score(a, b), score(b, c), score(a, c)]
    return statistics.mean(first), statistics.mean(best), statistics.mean(mutual)


def sample_figures(count: int) -> tuple[int, int, Counter]:
    """Of a sample: how many different stories and words it has, and how often each feature is listed."""
    world = StoryWorld()
    stories, words, features = set(), set(), Counter()
    for n in range(count):
        record = world[n]
        stories.add(record.story)
        words.update(re.findall("[a-z]+", record.story.lower()))
        features.update(record.features)
    return len(stories), len(words), features


def test_a_summary_cannot_be_copied():
    first, best, mutual = rouge_l(StoryWorld(), 60)
    assert first < 40
    assert best < 55
    assert 45 < mutual < 75


def test_a_sample_is_rich():
    stories, words, features = sample_figures(3000)
    assert stories == 3000
    assert words >= 1200
    assert all(300 <= features[name] <= 2700 for name in FEATURES)


@pytest.mark.slow
def test_full_size():
    start = time.process_time()
    stories, words, _ = sample_figures(100_000)
    assert stories == 100_000
    assert words >= 1200
    assert 100_000 / (time.process_time() - start) >= 1000
    first, best, mutual = rouge_l(StoryWorld(), 1000)
    assert first < 40
    assert best < 55
    assert 50 < mutual < 70
    for held_out in (False, True):
        for n in range(10_000):
            check(StoryWorld(held_out=held_out)[n])
