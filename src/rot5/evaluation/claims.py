"""Claims of a summary beside its story: which of its content words are true in their role."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import simplemma

from rot5.evaluation import reading_words as words
from rot5.evaluation.phrases import Event, Phrase
from rot5.evaluation.reading import people, read
from rot5.evaluation.reading_words import is_function, meaning
from rot5.evaluation.told import Story, actors
from rot5.evaluation.word_forms import base_form

KINDS = ("characters", "objects", "qualities", "actions", "places", "feelings", "others")
"""What a content word claims: who, what, of what sort, what was done, where, how one felt (and so, the ending)."""


_BESIDE = ("", "to", "with", "for", "from", "against", "at")
"""How somebody is in an event beside its agent, as its object or by a preposition."""


class JudgedWord(NamedTuple):
    """A content word of a summary: its place among the tokens, and whether it is true of the story in its role."""

    at: int
    text: str
    true: bool
    kind: str
    """One of KINDS; "others" are words in no role."""
    invented: bool
    """Whether the story has the word nowhere in any form; what is false and not invented is in the wrong place."""


def _objects(event: Event) -> set[str]:
    """The nouns an event happens to, "it" among them."""
    return {meaning(p.head) for _, p in event.things if p.kind == "thing" or p.head == "it"}


class Judge:
    """One summary beside its story: a verdict for each position that holds a content word in a role."""

    def __init__(self, story: Story, summary: str):
        self.story = story
        self.reading = read(summary, story.cast)
        self.verdicts: dict[int, bool] = {}
        self.stated: set[tuple[str, str]] = set()
        self.felt: set[tuple[str, str]] = set()
        for event, who in zip(self.reading.events, actors(self.reading), strict=True):
            self._judge_event(event)
            self._judge_doubles(event, who)
        self._judge_pairs()
        for phrase in self.reading.phrases:
            self._judge_owner(phrase)
            if phrase.kind == "name":
                for at, word in phrase.adjectives:
                    self._mark(at, self._has_trait([phrase.head], word))

    def words(self) -> list[JudgedWord]:
        judged, kinds = [], self._kinds()
        verbs = {event.at for event in self.reading.events if event.verb != "be"}
        names = {phrase.at for phrase in self.reading.phrases if phrase.kind == "name"}
        for at, token in enumerate(self.reading.tokens):
            small = token.lower()
            if not token[0].isalpha() or small in words.LIGHT or len(small) < 2:
                continue
            made_up = self._is_made_up(small) and at not in names
            if is_function(small) and at not in verbs and at not in names and not made_up:
                continue
            if at in self.verdicts:
                true = self.verdicts[at]
            elif at in names:
                true = token in self.story.cast
            else:
                true = meaning(small) in self.story.reading.lemmas
            true = true and not (at > 0 and small == self.reading.tokens[at - 1].lower())
            known = token in self.story.cast if at in names else meaning(small) in self.story.reading.lemmas
            judged.append(JudgedWord(at, token, true, kinds.get(at, "others"), not true and not known))
        return judged

    def _is_made_up(self, word: str) -> bool:
        """Whether a word only looks like an adverb: neither the story nor the dictionary of simplemma has it."""
        adverb = is_function(word) and word not in words.FUNCTION
        return adverb and meaning(word) not in self.story.reading.lemmas and not simplemma.is_known(word, lang="en")

    def _kinds(self) -> dict[int, str]:
        """What the word at each position claims, where it has a role."""
        found = {}
        for phrase in self.reading.phrases:
            found |= {at: "feelings" if word in words.FEELINGS else "qualities" for at, word in phrase.adjectives}
            if phrase.kind == "name":
                found[phrase.at] = "characters"
            elif phrase.kind == "quality":
                found[phrase.at] = "feelings" if phrase.head in words.FEELINGS else "qualities"
            elif phrase.kind == "thing":
                found[phrase.at] = "places" if phrase.is_place else "objects"
        for event in self.reading.events:
            found |= dict.fromkeys((event.at, *event.marks), "actions") if event.verb != "be" else {}
        return found

    def states(self, what: str, who: str, which: str) -> bool:
        """Whether the summary states a main fact of the story."""
        if what == "name":
            return who in self.reading.cast
        if what == "place":
            return which in {phrase.head for phrase in self.reading.phrases}
        if what == "object":
            return which in self.reading.objects
        if what == "feeling":
            return (who, which) in self.felt
        return (who, which) in self.stated

    def _mark(self, at: int, true: bool) -> None:
        self.verdicts[at] = self.verdicts.get(at, True) and true

    def _judge_event(self, event: Event) -> None:
        if event.unreal:
            self._judge_unreal(event)
            return
        if event.verb in ("be", "feel", "make", "leave", "end", "become") and self._judge_state(event):
            return
        told = self._told(event)
        company = {p.head for link, p in event.things if link == "with" and event.action in words.SHARED}
        matched = self._matching(event, told)
        helpers = [other for other in told if other.who & (company | event.outer)] if not matched else []
        supported = bool(matched or helpers) or self._told_of_all(event, told)
        self._mark(event.at, supported)
        for at in event.marks:
            if at >= 0:
                self._mark(at, supported)
        for phrase in event.agents:
            if phrase.kind == "name":
                self._mark(phrase.at, supported and (not matched or any(phrase.head in o.who for o in matched)))
        for other in matched:
            self.stated.update((who, other.action) for who in event.who & other.who)
        self._judge_things(event, matched, told)

    def _judge_unreal(self, event: Event) -> None:
        """What is denied, wished or possible: a known verb will do, but not the denial of what happened.

        A summary may deny first what it tells later: "did not get it at first".
        """
        told = self._matching(event, self._told(event)) if event.denied and event.verb != "be" else []
        later = any(e.action == event.action and e.who & event.who and not e.unreal for e in self.reading.events)
        known = event.verb in words.WISHED or meaning(event.verb) in self.story.reading.lemmas
        contradicted = bool(told) and not later
        self._mark(event.at, known and not contradicted)
        for phrase in event.agents:
            if phrase.kind == "name":
                self._mark(phrase.at, phrase.head in self.story.cast and not contradicted)
        self._judge_things(event, [], [])

    def _told(self, event: Event) -> list[Event]:
        """The events of the story that say what this event says, whoever did it."""
        story = self.story
        actions = {event.action} | words.ALTERNATIVES.get(event.action, frozenset())
        if event.purpose and event.verb in ("want", "wish", "try"):
            actions |= {words.PURPOSES.get(event.purpose.verb, "have")}
        if event.purpose and event.verb == "help":
            actions |= {event.purpose.verb} | words.ALTERNATIVES.get(event.purpose.verb, frozenset())
        told = [other for action in actions for other in story.by_action.get(action, ())]
        if event.action in words.HANDLING:
            nouns = {meaning(p.head) for _, p in event.things if p.kind == "thing" and not p.is_place}
            for action in words.HANDLING - actions:
                told += [o for o in story.by_action.get(action, ()) if nouns & {meaning(p.head) for _, p in o.things}]
        if event.verb in ("go", "come", "walk", "run"):
            told += [
                Event("be", -1, [], who=story.reading.places[place])
                for link, place in ((link, phrase.head) for link, phrase in event.things)
                if link and place in story.reading.places
            ]
        return told

    def _matching(self, event: Event, told: list[Event]) -> list[Event]:
        """Those of the story's events that have the agent of this one and, where others did it to its object, that."""
        same = [other for other in told if self._same_agent(event, other)]
        things = event.things or (event.purpose.things if event.purpose else [])
        nouns = {meaning(p.head) for link, p in things if not link and p.kind == "thing" and p.at not in event.marks}
        if not nouns:
            return same
        fitting = [other for other in same if not _objects(other) or _objects(other) & (nouns | {"it"})]
        return fitting or ([] if any(nouns & _objects(other) for other in told) else same)

    def _same_agent(self, event: Event, other: Event) -> bool:
        if not event.who or not other.who or event.who & other.who:
            return True
        return event.who == {"it"} and not other.who & self.story.cast.keys()

    def _told_of_all(self, event: Event, told: list[Event]) -> bool:
        """Whether the story tells it without saying who: a race of the two, or what some thing or animal did."""
        story = self.story
        mine = not event.who or bool(event.who & story.cast.keys())
        if event.action in ("come", "watch") or event.reports:
            return any(event.who & other.who for other in story.reading.events)
        if self.reading.tokens[event.at].lower() in words.LIGHT:
            return mine
        if any(other.who & story.cast.keys() for other in told):
            return False
        if words.TOGETHER.get(event.action) in story.reading.lemmas:
            return mine
        if event.verb in words.HANDLING and event.things:
            return mine and all(meaning(p.head) in story.reading.lemmas for _, p in event.things)
        others = event.who - story.cast.keys() - {"it", "nobody"}
        return bool(others) and others <= story.reading.lemmas

    def _judge_state(self, event: Event) -> bool:
        """Judge "was glad", "was shy", "was at the park"; whether there is nothing more to judge."""
        story = self.story
        names, felt = [p for p in event.agents if p.kind == "name"], False
        if event.verb in ("make", "leave"):
            names = [p for link, p in event.things if not link and p.kind == "name"] or names
        for link, phrase in event.things:
            if link or phrase.kind == "name" or phrase.kind == "pronoun":
                continue
            if phrase.head in words.FEELINGS and event.verb != "become":
                who = [name.head for name in names] or sorted(event.who & story.cast.keys())
                true = any(self._felt(event, name, phrase.head) for name in who)
                self._mark(phrase.at, true)
                felt = True
                self.felt.update((name, phrase.head) for name in who)
                for name in names:
                    self._mark(name.at, true)
            elif event.verb == "be" and event.who & story.cast.keys():
                who = [name.head for name in names] or sorted(event.who)
                for at, word in (*phrase.adjectives, (phrase.at, phrase.head)):
                    self._mark(at, self._has_trait(who, word))
            elif event.verb == "be":
                self._judge_thing(phrase, [], True)
        for name in names:
            self._mark(name.at, name.head in story.cast)
        rest = [(link, p) for link, p in event.things if link or p.kind == "name"]
        if felt or event.verb in ("be", "feel", "end") or (event.verb == "make" and not event.things):
            self._judge_things(Event("be", event.at, event.agents, rest, who=event.who), [], [])
            return True
        return False

    def _felt(self, event: Event, name: str, feeling: str) -> bool:
        """Whether somebody felt it: at the end, or at any time where the summary goes on to another feeling."""
        final = self.reading.final_feelings.get(name) == feeling
        if final and not any(link in ("of", "at") for link, _ in event.things):
            return self.story.reading.final_feelings.get(name) == feeling
        return (name, feeling) in self.story.reading.feelings

    def _has_trait(self, who: Iterable[str], word: str) -> bool:
        """Whether the story says so of one of them, or says it without saying of whom."""
        traits, said = self.story.traits, meaning(word)
        if any(said in traits.get(name, ()) for name in who):
            return True
        return said in self.story.reading.lemmas and not any(said in traits.get(name, ()) for name in self.story.cast)

    def _judge_things(self, event: Event, matched: list[Event], told: list[Event]) -> None:
        for link, phrase in event.things:
            if phrase.at in event.marks:
                continue
            if phrase.kind == "name":
                self._judge_person(event, phrase, matched, link)
            elif phrase.is_place and link:
                present = self.story.reading.places.get(phrase.head)
                self._mark(phrase.at, bool(present) and (not event.who or bool(event.who & present)))
            elif phrase.kind in ("thing", "quality"):
                self._judge_thing(phrase, told, link or event.at < 0)

    def _judge_person(self, event: Event, phrase: Phrase, matched: list[Event], link: str) -> None:
        """A name that is no agent: of the cast, and where the story says to whom it happened, that one."""
        true = phrase.head in self.story.cast
        if link in ("", "to") and true:
            met = [self.story.people(p) for other in matched for at, p in other.things if at in ("", "to")]
            met = [who for who in met if who & self.story.cast.keys()]
            true = not met or any(phrase.head in who for who in met)
        self._mark(phrase.at, true)

    def _judge_doubles(self, event: Event, who: frozenset[str]) -> None:
        """Nobody is in one event twice: "Ben met Ben", "Ben went with Ben", "Ben took Ben's hat", "Mia met her"."""
        if event.verb in ("make", "leave"):
            return  # "this made Ben glad": the agent is what happened
        named = [phrase.head for phrase in event.agents if phrase.kind == "name"]
        alone = who if len(event.agents) == 1 else frozenset()
        for link, phrase in event.things:
            if phrase.owner and phrase.owner.kind == "name" and alone == {phrase.owner.head}:
                self._mark(phrase.owner.at, False)
            if phrase.kind == "name" and link in _BESIDE:
                both = phrase.head in named and not (link == "for" and len(named) > 1)
                self._mark(phrase.at, not both and alone != {phrase.head})
            elif phrase.kind == "pronoun" and phrase.head in ("him", "her") and not link and named:
                self._mark(event.agents[0].at, not self._means_only(event, phrase, alone))

    def _means_only(self, event: Event, phrase: Phrase, alone: frozenset[str]) -> bool:
        """Whether "him" or "her" could only be the agent itself, since the summary speaks of nobody else."""
        unsure = event.outers or self.reading.tokens[event.at - 1] == "to"
        strangers = any(other.head in words.EPITHETS for other in self.reading.phrases)
        meant = people(phrase, self.reading.cast)
        return bool(meant) and meant <= alone and not (unsure or strangers)

    def _judge_pairs(self) -> None:
        """One person for two: "Ben and Ben", "Ben ran while Ben was there", "Ben broke the hat that Ben had"."""
        tokens, names = self.reading.tokens, self.story.cast | self.reading.cast
        for at in range(2, len(tokens)):
            if tokens[at] in names and tokens[at - 1] in ("and", "or") and tokens[at - 2] == tokens[at]:
                self._mark(at, False)
        for before, event in itertools.pairwise(self.reading.events):
            things = {phrase.at for _, phrase in before.things}
            there = tokens[event.at + 1] == "there" and "while" in tokens[before.at : event.at]
            if there or any(phrase.at in things for _, phrase in event.things):
                agents = {phrase.head: phrase.at for phrase in before.agents if phrase.kind == "name"}
                for phrase in event.agents:
                    if agents.get(phrase.head, phrase.at) != phrase.at:
                        self._mark(phrase.at, False)

    def _judge_thing(self, phrase: Phrase, told: list[Event], free: str | bool) -> None:
        story, noun = self.story, meaning(phrase.head)
        true = noun in story.reading.lemmas or words.IMPLIED.get(noun) in story.by_action
        if true and told and not free and phrase.kind == "thing" and phrase.head not in words.PEOPLE:
            nouns = set().union(*(_objects(other) for other in told))
            true = not nouns or bool(nouns & {noun, "it"})
        self._mark(phrase.at, true)
        given = story.reading.objects.get(noun, frozenset())
        for at, word in phrase.adjectives:
            acted = base_form(word) != word and base_form(word) in story.by_action
            said = phrase.head in words.TIMES and meaning(word) in story.reading.lemmas
            self._mark(at, meaning(word) in given or acted or said or (word, phrase.head) in story.pairs)

    def _judge_owner(self, phrase: Phrase) -> None:
        if phrase.owner and phrase.owner.kind == "name":
            owners = self.story.owners.get(meaning(phrase.head), frozenset())
            true = phrase.owner.head in (owners or self.story.cast)
            self._mark(phrase.owner.at, true)
