"""The state of a story's world, and the events that change it: what each needs, what it does, the fact it leaves."""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """One thing a story says, in words that stand in its text: `("Tom", "found", "red kite")`."""

    subject: str
    relation: str
    object: str


class Rule(NamedTuple):
    """An event in general. Roles are single letters, bound by position when the event happens.

    `needs` lists (property, role, wanted value): a role stands for what it is bound to, "!X" forbids that value.
    `effects` lists (property, role, new value). `facts` lists (subject role, relation, object role).
    """

    roles: str
    needs: tuple[tuple[str, str, str], ...] = ()
    effects: tuple[tuple[str, str, str], ...] = ()
    facts: tuple[tuple[str, str, str], ...] = ()


RULES = {
    # where everybody is, and who has what
    "at": Rule("XP", effects=(("place", "X", "P"),), facts=(("X", "was at", "P"),)),
    "own": Rule(
        "XO",
        needs=(("owner", "O", "nobody"),),
        effects=(("owner", "O", "X"), ("holder", "O", "X")),
        facts=(("X", "had", "O"),),
    ),
    "want": Rule("XO", needs=(("holder", "O", "!X"),), effects=(("wish", "X", "O"),), facts=(("X", "wanted", "O"),)),
    "get": Rule("XO", needs=(("holder", "O", "!X"),), effects=(("holder", "O", "X"),), facts=(("X", "got", "O"),)),
    "take": Rule("XO", needs=(("holder", "O", "!X"),), effects=(("holder", "O", "X"),), facts=(("X", "took", "O"),)),
    "give": Rule(
        "XYO",
        needs=(("holder", "O", "X"),),
        effects=(("holder", "O", "Y"), ("mood", "Y", "happy")),
        facts=(("X", "gave", "O"),),
    ),
    "share": Rule(
        "XYO",
        needs=(("state", "O", "!broken"),),
        effects=(("mood", "X", "happy"), ("mood", "Y", "happy")),
        facts=(("X", "shared", "O"), ("Y", "shared", "O")),
    ),
    # what becomes of things
    "lose": Rule(
        "XO",
        needs=(("holder", "O", "X"),),
        effects=(("holder", "O", "nobody"), ("state", "O", "lost"), ("mood", "X", "sad")),
        facts=(("X", "lost", "O"),),
    ),
    "stay lost": Rule("O", needs=(("state", "O", "lost"),), facts=(("O", "stayed", "=lost"),)),
    "hide": Rule(
        "XO",
        needs=(("holder", "O", "X"),),
        effects=(("holder", "O", "nobody"), ("state", "O", "lost")),
        facts=(("X", "hid", "O"),),
    ),
    "find": Rule(
        "XO",
        needs=(("state", "O", "lost"),),
        effects=(("holder", "O", "X"), ("state", "O", "whole")),
        facts=(("X", "found", "O"),),
    ),
    "break": Rule(
        "XO", needs=(("state", "O", "!broken"),), effects=(("state", "O", "broken"),), facts=(("X", "broke", "O"),)
    ),
    "break together": Rule(
        "XYO",
        needs=(("state", "O", "!broken"),),
        effects=(("state", "O", "broken"), ("mood", "X", "sad"), ("mood", "Y", "sad")),
        facts=(("X", "broke", "O"), ("Y", "broke", "O")),
    ),
    "be broken": Rule(
        "O", needs=(("state", "O", "!broken"),), effects=(("state", "O", "broken"),), facts=(("O", "was", "=broken"),)
    ),
    "fix": Rule(
        "XYO",
        needs=(("state", "O", "broken"),),
        effects=(("state", "O", "whole"),),
        facts=(("X", "fixed", "O"), ("Y", "fixed", "O")),
    ),
    "build": Rule(
        "XYO",
        needs=(("state", "O", "!built"),),
        effects=(("state", "O", "built"), ("holder", "O", "X")),
        facts=(("X", "built", "O"), ("Y", "built", "O")),
    ),
    "win": Rule("XO", needs=(("holder", "O", "!X"),), effects=(("holder", "O", "X"),), facts=(("X", "won", "O"),)),
    # what they do to each other
    "help": Rule("XY", effects=(("mood", "Y", "happy"),), facts=(("X", "helped", "Y"),)),
    "save": Rule("XY", needs=(("peril", "Y", "water"),), effects=(("peril", "Y", ""),), facts=(("X", "saved", "Y"),)),
    "warn": Rule("XY", effects=(("warned", "Y", "X"),), facts=(("X", "warned", "Y"),)),
    "visit": Rule("XY", facts=(("X", "visited", "Y"),)),
    "meet": Rule("XY", effects=(("known", "X", "Y"),), facts=(("X", "met", "Y"),)),
    "trick": Rule("XY", effects=(("mood", "Y", "sad"),), facts=(("X", "tricked", "Y"),)),
    "mock": Rule("XY", effects=(("mood", "Y", "sad"),), facts=(("X", "laughed at", "Y"),)),
    "forgive": Rule(
        "XY",
        needs=(("sorry", "Y", "yes"),),
        effects=(("mood", "Y", "happy"),),
        facts=(("X", "forgave", "Y"),),
    ),
    "befriend": Rule("XY", effects=(("mood", "X", "happy"),), facts=(("X", "became friends with", "Y"),)),
    # what one does alone
    "say sorry": Rule("X", effects=(("sorry", "X", "yes"),), facts=(("X", "said", "=sorry"),)),
    "tell the truth": Rule("X", effects=(("sorry", "X", "yes"),), facts=(("X", "told", "=the truth"),)),
    "lie": Rule("X", effects=(("honest", "X", "no"),), facts=(("X", "told", "=a lie"),)),
    "fear": Rule("XW", effects=(("mood", "X", "afraid"),), facts=(("X", "was afraid of", "W"),)),
    "run away": Rule("X", needs=(("mood", "X", "afraid"),), facts=(("X", "ran", "=away"),)),
    "fall": Rule("X", effects=(("peril", "X", "water"),), facts=(("X", "fell into", "=the water"),)),
    "learn": Rule(
        "XK", needs=(("skill", "X", "!K"),), effects=(("skill", "X", "K"),), facts=(("X", "learned to", "K"),)
    ),
    "quit": Rule("XO", effects=(("mood", "X", "sad"),), facts=(("X", "gave up on", "O"),)),
    "cheat": Rule("X", effects=(("honest", "X", "no"),), facts=(("X", "cheated in", "=the race"),)),
    "feel": Rule("XM", effects=(("mood", "X", "M"),), facts=(("X", "felt", "M"),)),
    # side events
    "snack": Rule("XA", effects=(("fed", "X", "yes"),), facts=(("X", "shared", "A"),)),
    "present": Rule("XA", facts=(("X", "gave", "A"),)),
    "sing": Rule("X", facts=(("X", "sang", "=a song"),)),
    "hurt": Rule("X", effects=(("knee", "X", "sore"),), facts=(("X", "hurt", "=a knee"),)),
    "forget": Rule("X", facts=(("X", "forgot", "=a hat"),)),
    "see": Rule("XA", facts=(("X", "saw", "A"),)),
    "weather": Rule("A", effects=(("sky", "A", "here"),)),
}
DEFAULTS = {"owner": "nobody", "holder": "nobody", "state": "whole", "mood": "calm"}


class World:
    """Who owns and holds what, where everybody is, moods and states: one dict of (property, thing) to value."""

    def __init__(self, roles: dict[str, str]):
        self.roles = roles
        self.state: dict[tuple[str, str], str] = {}
        self.facts: list[Fact] = []

    def get(self, name: str, thing: str) -> str:
        """The value of a property now: "" or its usual value where nothing has been said."""
        return self.state.get((name, thing)) or DEFAULTS.get(name, "")

    def happen(self, event: tuple[str, str]) -> None:
        """Apply one event, a (verb, role letters) pair as `parse_events` makes it; its facts are added to `facts`.

        Raises ValueError when the world does not allow it: a plot that gives away what nobody holds is a mistake.
        """
        verb, given = event
        rule = RULES[verb]
        roles = self.roles
        bound = dict(zip(rule.roles, (roles[letter] for letter in given), strict=True))
        for name, role, wanted in rule.needs:
            value = self.get(name, bound[role])
            forbidden = wanted.startswith("!")
            target = wanted[1:] if forbidden else wanted
            if (value == bound.get(target, target)) == forbidden:
                raise ValueError(f"{verb} {given}: {name} of {bound[role]} is {value!r}, needs {wanted!r}")
        for name, role, value in rule.effects:
            self.state[name, bound[role]] = bound.get(value, value)
        for subject, relation, thing in rule.facts:
            fact = Fact(bound[subject], relation, thing[1:] if thing[0] == "=" else bound[thing])
            if fact not in self.facts:
                self.facts.append(fact)


def parse_events(text: str) -> tuple[tuple[str, str], ...]:
    """Split a plot's short notation into events.

    >>> parse_events("own HO; stay lost O")
    (('own', 'HO'), ('stay lost', 'O'))
    """
    events = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        verb, roles = part.rsplit(" ", 1)
        if verb not in RULES or len(roles) != len(RULES[verb].roles):
            raise ValueError(f"no such event: {part!r}")
        events.append((verb, roles))
    return tuple(events)
