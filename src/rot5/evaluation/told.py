"""A story as a summary is judged by it: what happened by action, who owns what, and its main facts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from rot5.evaluation import reading_words as words
from rot5.evaluation.phrases import Event, Phrase
from rot5.evaluation.reading import Reading, people, read
from rot5.evaluation.reading_words import meaning


class Story:
    """A story read once, indexed for the summaries to be judged by it."""

    def __init__(self, text: str):
        self.reading = read(text)
        self.cast = self.reading.cast
        for event, who in zip(self.reading.events, actors(self.reading), strict=True):
            event.who = who
        small = [token.lower() for token in self.reading.tokens]
        self.pairs = set(itertools.pairwise(small))
        self.by_action: dict[str, list[Event]] = {}
        self.owners: dict[str, set[str]] = {}
        self.traits: dict[str, set[str]] = {name: {kind} for name, kind in self.cast.items()}
        for event in self.reading.events:
            if not event.unreal:
                for told in (event, *self._implied(event)):
                    self.by_action.setdefault(told.action, []).append(told)
                self._note_traits(event)
            elif event.denied:
                self.by_action.setdefault(f"not-{event.verb}", []).append(event)
        self._note_owners()
        named = [p.head for p in self.reading.phrases if p.kind == "name"]
        self.main = sorted(self.cast, key=named.count, reverse=True)[:2]
        self.main_facts = self._main_facts()

    def _implied(self, event: Event) -> Iterator[Event]:
        """What is true with an event: who is given gets, who is met meets."""
        others = [p for link, p in event.things if self.people(p) <= self.cast.keys() and link in ("", "to", "with")]
        things = [(link, p) for link, p in event.things if p not in others]
        if event.action == "give" and others:
            yield Event("get", -1, others, things, action="get", who=self._all(others))
        if event.action in ("meet", "become friends", "share", "fix", "build", "learn") and others:
            them = [("", p) for p in event.agents] if event.action in ("meet", "become friends") else []
            yield Event(event.verb, -1, others, them + things, action=event.action, who=self._all(others))

    def people(self, phrase: Phrase) -> frozenset[str]:
        return people(phrase, self.cast)

    def _all(self, phrases: Iterable[Phrase]) -> frozenset[str]:
        return frozenset().union(*(self.people(phrase) for phrase in phrases))

    def _note_traits(self, event: Event) -> None:
        if event.verb != "be" or not event.who:
            return
        for link, phrase in event.things:
            if not link and phrase.kind != "name":
                said = {meaning(word) for _, word in phrase.adjectives} | {meaning(phrase.head)}
                for who in event.who:
                    self.traits.setdefault(who, set()).update(said)

    def _note_owners(self) -> None:
        for phrase in self.reading.phrases:
            if phrase.kind == "name":
                self.traits[phrase.head].update(meaning(word) for _, word in phrase.adjectives)
            elif phrase.owner:
                self.owners.setdefault(meaning(phrase.head), set()).update(self.people(phrase.owner))
        for action in ("have", "get", "win", "take"):
            for event in self.by_action.get(action, ()):
                for _, phrase in event.things:
                    self.owners.setdefault(meaning(phrase.head), set()).update(event.who & self.cast.keys())

    def _main_facts(self) -> list[tuple[str, str, str]]:
        """Hero, other, place, main object, key events and ending, as (what, who, which)."""
        facts = [("name", name, "") for name in self.main]
        if self.reading.places:
            facts.append(("place", "", max(self.reading.places, key=lambda place: len(self.reading.places[place]))))
        nouns = [meaning(p.head) for p in self.reading.phrases if p.kind == "thing" and p.adjectives]
        if nouns:
            facts.append(("object", "", max(dict.fromkeys(nouns), key=nouns.count)))
        heads = Counter(meaning(phrase.head) for phrase in self.reading.phrases)
        for event in self.reading.events:
            nouns = [meaning(p.head) for link, p in event.things if p.kind == "thing" and not link]
            passing = nouns and not event.marks and all(heads[noun] == 1 for noun in nouns)
            if event.action in words.KEY_ACTIONS and not (event.unreal or event.reports or passing):
                who = [phrase.head for phrase in event.agents if phrase.head in self.main]
                facts += [("event", name, event.action) for name in who]
        ending = self.reading.final_feelings
        facts += [("feeling", name, ending[name]) for name in self.main[:1] if name in ending]
        return list(dict.fromkeys(facts))


def actors(reading: Reading) -> list[frozenset[str]]:
    """Who acts in each event, "he" being whoever acted by name before: "Ben was so tired that he sat down"."""
    before: frozenset[str] = frozenset()
    found = []
    for event in reading.events:
        one = event.agents[0] if len(event.agents) == 1 else None
        if one and one.kind == "name":
            before = event.who
        found.append(before & event.who if one and one.head in ("he", "she") and before & event.who else event.who)
    return found
