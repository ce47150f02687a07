"""Facts: which of them a story's text supports, and which content words of a summary are true of its story."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from rot5.evaluation.claims import KINDS, Judge, JudgedWord
from rot5.evaluation.phrases import Event
from rot5.evaluation.reading import Reading
from rot5.evaluation.told import Story

__all__ = ["ContentScore", "Fact", "JudgedWord", "content", "judged_words", "verify_facts"]

Fact = tuple[str, str, str]
"""(subject, relation, object) in words of the text: ("Tom", "found", "red kite")."""

RELATIONS = {
    "had": "have",
    "wanted": "want",
    "lost": "lose",
    "found": "find",
    "gave": "give",
    "took": "take",
    "hid": "hide",
    "broke": "break",
    "got": "get",
    "won": "win",
    "gave up on": "give up",
    "shared": "share",
    "fixed": "fix",
    "built": "build",
    "helped": "help",
    "saved": "save",
    "forgave": "forgive",
    "warned": "warn",
    "visited": "visit",
    "met": "meet",
    "tricked": "trick",
    "laughed at": "laugh at",
    "became friends with": "become friends",
    "saw": "see",
    "cheated in": "cheat",
    "fell into": "fall into the water",
    "hurt": "hurt a knee",
    "sang": "sing a song",
    "forgot": "forget",
    "ran": "run away",
    "said": "say sorry",
    "was afraid of": "be",
    "learned to": "learn",
}
"""The action that each relation of a fact is told with; relations that take more are in `_supports`."""
ARTICLES = ("the ", "a ", "an ")


class ContentScore(NamedTuple):
    """Counts of one summary: true content words, all content words, main facts it states, main facts of its story."""

    true_words: int
    content_words: int
    covered: int
    facts: int
    invented: int
    """Content words that the story has nowhere in any form."""
    kinds: Mapping[str, tuple[int, int]]
    """Per kind of claim (`claims.KINDS`) that the summary makes: true content words, content words."""


def verify_facts(story: str, facts: Iterable[Sequence[str]]) -> list[Fact]:
    """The facts that the text does not support, out of (subject, relation, object) triples.

    A fact is supported when a clause of narration has its subject by name, its action and its whole object. Raises
    ValueError for a relation that the reader does not know.
    """
    reading = _story(story).reading
    return [(s, r, o) for s, r, o in facts if not _supports(reading, s, r, o)]


def _supports(reading: Reading, subject: str, relation: str, thing: str) -> bool:
    events = [event for event in reading.events if not event.unreal]
    if relation == "ended":
        return reading.ending == thing
    if relation == "felt":
        return reading.final_feelings.get(subject) == thing
    if relation == "was at":
        return subject in reading.places.get(thing, ())
    if relation in ("was", "stayed"):
        action = "break" if relation == "was" else "stay lost"
        of_it = [event for event in events if event.action == action]
        return any(phrase.text == subject for e in of_it for phrase in (*e.agents, *(p for _, p in e.things)))
    if relation == "told":
        return any(e.action == f"tell {thing}" and _by_name(e, subject) for e in events)
    if relation not in RELATIONS:
        raise ValueError(f"unknown relation of a fact: {relation!r}; known are {', '.join(RELATIONS)}")
    action, wanted = RELATIONS[relation], _plain(thing)
    for event in events:
        if event.action != action or not _by_name(event, subject):
            continue
        if relation == "learned to":
            goal = event.purpose
            if goal and any(f"{goal.verb} {phrase.text}" == wanted.replace(" the ", " ") for _, phrase in goal.things):
                return True
        elif relation == "was afraid of":
            afraid = any(phrase.head == "afraid" for _, phrase in event.things)
            if afraid and any(link == "of" and phrase.text == wanted for link, phrase in event.things):
                return True
        elif action in ("say sorry", "run away") or any(
            wanted in (phrase.text, phrase.head) for _, phrase in event.things
        ):
            return True
    return False


def _plain(thing: str) -> str:
    for article in ARTICLES:
        thing = thing.removeprefix(article)
    return thing


def _by_name(event: Event, name: str) -> bool:
    return any(phrase.kind == "name" and phrase.head == name for phrase in event.agents)


@lru_cache(maxsize=1 << 12)
def _story(text: str) -> Story:
    return Story(text)


def judged_words(story: str, summary: str) -> list[JudgedWord]:
    """The content words of a summary in their order, each with whether it is true of the story in its role.

    Content is every word but function words, adverbs in -ly that the story or the English dictionary of simplemma has,
    and words like "end" or "feel" that carry a sentence. A verb and its agents are true when the story tells the same
    event of the same agent; an object when it is that of the event, and its adjective when the story gives it to that
    object; a place when somebody of the event was there; a feeling when it is the last one of its person. A name that
    is in one event twice is false ("Ben and Ben", "Ben went with Ben", "Ben took Ben's hat"). A word in none of these
    roles is true when the story has it, and an adverb that neither the story nor the dictionary has is false.
    """
    return Judge(_story(story), summary).words()


def content(story: str, summary: str) -> ContentScore:
    """How many content words of a summary are true of the story, and how many of the story's main facts it states.

    The facts are who it is about (two names), the main object, the place, what the two did, and how the first of them
    felt in the end.
    """
    judge = Judge(_story(story), summary)
    judged = judge.words()
    facts = judge.story.main_facts
    of_kind = {kind: [word.true for word in judged if word.kind == kind] for kind in KINDS}
    return ContentScore(
        true_words=sum(word.true for word in judged),
        content_words=len(judged),
        covered=sum(judge.states(*fact) for fact in facts),
        facts=len(facts),
        invented=sum(word.invented for word in judged),
        kinds={kind: (sum(true), len(true)) for kind, true in of_kind.items() if true},
    )
