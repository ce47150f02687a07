"""Categories of tasks: what of a record is shown, and what is asked for."""

import re
from collections.abc import Callable, Iterator
from random import Random

from stop_words import get_stop_words

from rot5.data.tasks.records import StoryRecord

Item = dict[str, str | tuple[str, ...]]
"""Fields of templates by name; `answers` are all targets that are right, `answer` the one to learn, and `evidence`,
where there is some, what leads to it."""

GAP = "___"
_SENTENCE = re.compile(r"\S.*?(?:[.!?][\"”']?(?=\s)|$)", re.MULTILINE)
_STOPPED = frozenset(get_stop_words("en"))
_NAMES = ("Lily", "Max", "Anna", "Jack", "Rosa", "Finn", "Nora", "Oscar")
_LONGEST_QUOTE = 12


def sentences(story: str) -> list[str]:
    """The sentences of a story, in order.

    >>> sentences('He ran. "Stop!" she said. It rained.')
    ['He ran.', '"Stop!"', 'she said.', 'It rained.']
    """
    return _SENTENCE.findall(story)


def evidence(story: str, question: str, answer: str) -> str:
    """The sentence with most words of a question and its answer, the answer's twice; the last if none has any."""
    asked, answered = _content(question), _content(answer)
    scored = [
        (len(words & asked) + 2 * len(words & answered), -place)
        for place, words in enumerate(map(_content, sentences(story)))
    ]
    best, place = max(scored)
    return sentences(story)[-place if best else -1]


def _content(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())) - _STOPPED


def _item(answer: str, answers: tuple[str, ...] = (), **fields: str) -> Item:
    return {**fields, "answer": answer, "answers": answers or (answer,)}


def summary(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.summaries:
        yield _item(draw.choice(record.summaries), record.summaries, story=record.story)


def story_from_summary(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.summaries:
        yield _item(record.story, summary=draw.choice(record.summaries))


def story_from_words(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.words:
        features = ", ".join(record.features) or "none"
        yield _item(record.story, words=", ".join(record.words), features=features)


def title(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.title:
        yield _item(record.title, story=record.story)


def ending(record: StoryRecord, draw: Random) -> Iterator[Item]:
    *before, last = sentences(record.story)
    if len(before) >= 3:
        yield _item(last, beginning=record.story[: record.story.rindex(last)].strip())


def missing_sentence(record: StoryRecord, draw: Random) -> Iterator[Item]:
    parts = sentences(record.story)
    inner = [part for part in parts[1:-1] if record.story.count(part) == 1]
    if inner:
        sentence = draw.choice(inner)
        yield _item(sentence, gapped=record.story.replace(sentence, GAP))


def question(record: StoryRecord, draw: Random) -> Iterator[Item]:
    for asked, answers in record.questions:
        if not asked.startswith("Who "):
            shown = evidence(record.story, asked, answers[0])
            yield _item(answers[0], answers, story=record.story, question=asked, evidence=shown)


def who(record: StoryRecord, draw: Random) -> Iterator[Item]:
    for asked, answers in record.questions:
        if asked.startswith("Who "):
            shown = evidence(record.story, asked, answers[0])
            yield _item(answers[0], answers, story=record.story, question=asked, evidence=shown)


def make_question(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.questions:
        asked, answers = draw.choice(record.questions)
        yield _item(asked, story=record.story, about=answers[0])


def order(record: StoryRecord, draw: Random) -> Iterator[Item]:
    short = [part for part in sentences(record.story) if 3 <= len(part.split()) <= _LONGEST_QUOTE]
    if len(set(short)) >= 2:
        first, second = sorted(draw.sample(sorted(set(short)), 2), key=record.story.index)
        shown = [first, second]
        draw.shuffle(shown)
        yield _item("AB"[shown.index(first)], story=record.story, a=shown[0], b=shown[1], evidence=first)


def true_or_false(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.questions:
        asked, answers = draw.choice(record.questions)
        others = sorted({each.answers[0] for each in record.questions} - set(answers))
        true = draw.random() < 0.5 or not others
        told = answers[0] if true else draw.choice(others)
        shown = evidence(record.story, asked, answers[0])
        yield _item("yes" if true else "no", story=record.story, question=asked, told=told, evidence=shown)


def word(record: StoryRecord, draw: Random) -> Iterator[Item]:
    inside = sorted(_content(record.story))
    outside = [each for each in sorted(_STRANGE) if not _sentences_with(each, record.story)]
    if len(inside) >= 5 and outside:
        asked = draw.choice(inside if draw.random() < 0.5 else outside)
        found = _sentences_with(asked, record.story)
        shown = found[0] if found else "No sentence has it."
        yield _item("yes" if found else "no", story=record.story, word=asked, evidence=shown)


def _sentences_with(asked: str, story: str) -> list[str]:
    pattern = re.compile(rf"\b{re.escape(asked)}\b", re.IGNORECASE)
    return [part for part in sentences(story) if pattern.search(part)]


_STRANGE = ("ship", "cheese", "snow", "tiger", "king", "piano", "lamp", "moon", "sand", "train", "apple", "shoe")


def another_hero(record: StoryRecord, draw: Random) -> Iterator[Item]:
    if record.hero:
        name = draw.choice([name for name in _NAMES if name not in record.story])
        story = re.sub(rf"\b{re.escape(record.hero)}\b", name, record.story)
        yield _item(story, story=record.story, hero=record.hero, name=name)


CATEGORIES: dict[str, Callable[[StoryRecord, Random], Iterator[Item]]] = {
    "summary": summary,
    "story-from-summary": story_from_summary,
    "story-from-words": story_from_words,
    "title": title,
    "ending": ending,
    "missing-sentence": missing_sentence,
    "question": question,
    "who": who,
    "make-question": make_question,
    "order": order,
    "true-or-false": true_or_false,
    "word": word,
    "another-hero": another_hero,
}
"""By name; each gives the items of a record, none where the record lacks what it needs. Draws are the item's own."""
