"""The reader: from the text of a story or a summary to who is in it, what happened, where, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rot5.evaluation import reading_words as words
from rot5.evaluation.clauses import Parser
from rot5.evaluation.phrases import Event, Phrase
from rot5.evaluation.reading_words import meaning
from rot5.evaluation.word_forms import base_form


@dataclass(slots=True)
class Reading:
    """All that the reader finds in a text."""

    tokens: list[str]
    cast: dict[str, str]
    """Name to kind: boy, girl, frog."""
    events: list[Event]
    phrases: list[Phrase]
    objects: dict[str, frozenset[str]]
    """Noun to the adjectives it is given."""
    places: dict[str, frozenset[str]]
    """Place to who was there."""
    feelings: tuple[tuple[str, str], ...]
    """Who felt what, in the order of the text: the last of each person is the ending."""
    lemmas: frozenset[str]
    """Every word of the text, speech included, in its base form."""

    @property
    def final_feelings(self) -> dict[str, str]:
        """Who feels what at the end."""
        return dict(self.feelings)

    @property
    def ending(self) -> str:
        """happy or sad, as the last feeling is; empty where none is told."""
        for _, feeling in reversed(self.feelings):
            return "happy" if feeling in words.HAPPY else "sad"
        return ""


def read(text: str, known: Iterable[str] = ()) -> Reading:
    """Read a text. `known` are names to expect, such as those of the story a summary is of."""
    parser = Parser(text, known)
    parser.run()
    return _understand(parser)


def _understand(parser: Parser) -> Reading:
    """From phrases and events to people, places, actions and feelings."""
    cast = _cast(parser)
    reading = Reading(
        tokens=parser.tokens,
        cast=cast,
        events=parser.events,
        phrases=parser.phrases,
        objects={},
        places={},
        feelings=(),
        lemmas=frozenset(meaning(word) for word in parser.small if word[0].isalpha()),
    )
    feelings = []
    places: dict[str, set[str]] = {}
    for event in parser.events:
        _name_action(event)
        if event.passive:
            _turn_passive(event)
        event.who = frozenset().union(*(people(phrase, cast) for phrase in event.agents))
        event.outer = frozenset().union(*(people(phrase, cast) for phrase in event.outers))
        if event.unreal:
            continue
        feelings += [(who, feeling) for who, feeling in _felt(event, cast)]
        for preposition, phrase in event.things:
            if phrase.is_place and preposition in ("in", "on", "at", "to", "into"):
                present = [*event.agents, *(thing for link, thing in event.things if link in ("", "with"))]
                places.setdefault(phrase.head, set()).update(name for p in present for name in _certain(p, cast))
    reading.feelings = tuple(feelings)
    reading.places = {place: frozenset(who) for place, who in places.items()}
    reading.objects = _objects(parser)
    return reading


def _cast(parser: Parser) -> dict[str, str]:
    cast = {phrase.head: parser.cast.get(phrase.head, "") for phrase in parser.phrases if phrase.kind == "name"}
    for event in parser.events:
        if event.verb == "be" and len(event.agents) == 1 and event.agents[0].head in cast:
            for preposition, thing in event.things:
                if not preposition and thing.head in words.KINDS:
                    cast[event.agents[0].head] = cast[event.agents[0].head] or thing.head
    for name, kind in cast.items():
        cast[name] = kind or ("girl" if name in words.GIRLS else "boy" if name in words.BOYS else "")
    return cast


def people(phrase: Phrase, cast: dict[str, str]) -> frozenset[str]:
    """Everyone of the cast whom a phrase may mean; for a thing or animal its noun, for "it" just that."""
    if phrase.kind == "name":
        return frozenset((phrase.head,))
    head = phrase.head
    if head in ("she", "her", "herself"):
        return frozenset(name for name in cast if name not in words.BOYS)
    if head in ("he", "him", "himself"):
        return frozenset(name for name in cast if name not in words.GIRLS)
    if head in words.PERSONAL or head in words.PEOPLE:
        return frozenset(cast)
    return frozenset((meaning(head), *(name for name, kind in cast.items() if kind == head)))


def _name_action(event: Event) -> None:
    """Choose the one phrase for what happened, taking in particles and objects that belong to it."""
    event.action = event.verb
    extras = [(at, word) for at, word in event.particles]
    extras += [(phrase.at, phrase.head) for _, phrase in event.things if phrase.kind != "name"]
    extras += [(-1, f"{preposition}~") for preposition, _ in event.things if preposition]
    for at, word in extras:
        action = words.PHRASES.get((event.verb, word)) or words.PHRASES.get((event.verb, base_form(word)))
        if action:
            event.action, event.marks = action, frozenset((at,))
            return


def _turn_passive(event: Event) -> None:
    """ "was forgiven by Tom": Tom forgave, and who was forgiven is the object; without "by" nobody is the agent."""
    doers = [phrase for preposition, phrase in event.things if preposition == "by"]
    event.things = [*(("", phrase) for phrase in event.agents), *(pair for pair in event.things if pair[0] != "by")]
    event.agents = doers


def _felt(event: Event, cast: dict[str, str]) -> list[tuple[str, str]]:
    if event.verb not in ("be", "feel", "leave", "end", "make", "become", "grow"):
        return []
    found = [p.head for link, p in event.things if not link and p.kind == "quality" and p.head in words.FEELINGS]
    others = [p for link, p in event.things if not link and p.kind == "name"]
    who = others if event.verb in ("leave", "make") and others else event.agents
    names = [name for phrase in who for name in _certain(phrase, cast)]
    return [(name, feeling) for name in names for feeling in found[:1]]


def _certain(phrase: Phrase, cast: dict[str, str]) -> list[str]:
    """Those of the cast whom a phrase surely means: a name, "they" of them all, a pronoun that fits only one."""
    who = people(phrase, cast)
    everyone = phrase.head in ("they", "them", "both", "everyone")
    return sorted(who) if who <= cast.keys() and (everyone or len(who) == 1) else []


def _objects(parser: Parser) -> dict[str, frozenset[str]]:
    objects: dict[str, set[str]] = {}
    for phrase in parser.phrases:
        if phrase.kind == "thing":
            objects.setdefault(meaning(phrase.head), set()).update(meaning(word) for _, word in phrase.adjectives)
    return {noun: frozenset(adjectives) for noun, adjectives in objects.items()}
