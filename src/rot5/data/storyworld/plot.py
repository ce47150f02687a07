"""The parts of a plot: beats (events and their wordings), turns (how it may go on and end), and their summaries."""

from __future__ import annotations

from dataclasses import dataclass, field

from rot5.data.storyworld.lexicon import AFLOAT, HAPPY, OBJECTS, PLACES, SAD, Place, Thing
from rot5.data.storyworld.wording import Wordings
from rot5.data.storyworld.world import parse_events


class Beat:
    """Events that happen together, and the texts that tell them. Every text states every fact of the events."""

    __slots__ = ("events", "wordings")

    def __init__(self, events: str, wordings: str):
        self.events = parse_events(events)
        self.wordings = Wordings(wordings)


@dataclass(frozen=True, slots=True)
class Turn:
    """One way a plot goes on after its problem. A story takes exactly one."""

    name: str
    link: str
    """The word that joins problem and turn in a summary: but, and, so."""
    beats: tuple[Beat, ...]
    summary: Wordings
    """Clauses that say what happened in this turn; `{it}` is the object."""
    morals: Wordings
    good: bool = True
    """Whether it ends well for the hero."""
    features: tuple[str, ...] = ()
    use: str = ""
    """The use an object must have for this turn, where not every object of the plot will do."""
    hints: Wordings | None = None
    """Texts for the opening that prepare the turn without telling it."""
    feelings: tuple[str, ...] = ()

    @property
    def moods(self) -> tuple[str, ...]:
        """How the hero may feel at the end."""
        return self.feelings or (HAPPY if self.good else SAD)


@dataclass(frozen=True, slots=True)
class Plot:
    """A story line: an opening, a problem, and two or more turns."""

    name: str
    opening: Beat
    problem: Beat
    turns: tuple[Turn, ...]
    summary: Wordings
    """Clauses that say what the problem was: hero, other, object and place."""
    things: tuple[Thing, ...]
    places: tuple[Place, ...] = field(default=PLACES)
    features: tuple[str, ...] = ()
    with_skill: bool = False
    """Whether the object's skill is used, so that what sails is taken to the water."""
    late: bool = True
    """Whether a side event may come between the problem and the turn."""

    def places_for(self, thing: Thing) -> tuple[Place, ...]:
        """The places where this plot can happen with this object."""
        if not self.with_skill:
            return self.places
        afloat = thing.skill in AFLOAT
        return tuple(place for place in self.places if ("w" in place.traits) == afloat)

    def turns_for(self, thing: Thing) -> tuple[Turn, ...]:
        """The turns this plot can take with this object."""
        return tuple(turn for turn in self.turns if not turn.use or turn.use in thing.uses)


def things(use: str) -> tuple[Thing, ...]:
    """The objects that can play at least one of the roles in `use`."""
    return tuple(thing for thing in OBJECTS if set(use) & set(thing.uses))


def places(setting: str = "", traits: str = "") -> tuple[Place, ...]:
    """The places of one of the settings (all, when none is named) that have all the traits."""
    return tuple(p for p in PLACES if (not setting or p.setting in setting) and set(traits) <= set(p.traits))
