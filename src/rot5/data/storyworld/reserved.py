"""Which compositions are held out: a fixed share of (plot, side event), (plot, hero) and (plot, object) pairs."""

from __future__ import annotations

import hashlib
from collections import Counter

from rot5.data.storyworld.lexicon import NAMES
from rot5.data.storyworld.plots import PLOTS
from rot5.data.storyworld.side_events import SIDE_EVENTS

HELD_OUT_SHARE = 0.15


def _order(*key: str) -> bytes:
    return hashlib.blake2b("/".join(key).encode(), digest_size=8).digest()


def _reserve(sort: str, candidates: dict[str, list[str]]) -> dict[str, frozenset[str]]:
    """For each plot, the share of its candidates that is held out, never the last open use of a candidate.

    The choice hangs on names alone: not on any seed, and not on the order in which plots are listed.
    """
    open_uses = Counter(candidate for names in candidates.values() for candidate in names)
    reserved = {}
    for plot in sorted(candidates):
        wanted = max(1, round(HELD_OUT_SHARE * len(candidates[plot])))
        chosen = []
        for candidate in sorted(candidates[plot], key=lambda name: _order(sort, plot, name)):
            if len(chosen) < wanted and open_uses[candidate] > 1:
                chosen.append(candidate)
                open_uses[candidate] -= 1
        reserved[plot] = frozenset(chosen)
    return reserved


RESERVED_SIDE_EVENTS = _reserve("side event", {plot.name: [side.name for side in SIDE_EVENTS] for plot in PLOTS})
RESERVED_HEROES = _reserve("hero", {plot.name: list(NAMES) for plot in PLOTS})
RESERVED_THINGS = _reserve("thing", {plot.name: [thing.noun for thing in plot.things] for plot in PLOTS})
