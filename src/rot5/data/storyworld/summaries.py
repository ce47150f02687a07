"""Reference summaries: a clause for the problem, one for the turn and the hero's feeling, joined in many shapes."""

from __future__ import annotations

from random import Random

from rot5.data.storyworld.plot import Plot, Turn
from rot5.data.storyworld.side_events import SideEvent
from rot5.data.storyworld.wording import fill

# {setup} is the problem, {turn} what happened then, {link} the word between them. A capital asks for a sentence start.
SHAPES = (
    "{Setup}, {link} {turn}, and in the end {H} was {feel}.",
    "{Setup}, {link} {turn}. {H} was {feel} in the end.",
    "{Setup}, {link} {turn}. In the end, {H} felt {feel}.",
    "{Setup}. Then {turn}, and {H} was {feel}.",
    "{Setup}. Then {turn}, which made {H} feel {feel}.",
    "{Setup}, {link} then {turn}. {H} felt {feel} after that.",
    "{Setup}, {link} {turn}, and this left {H} {feel}.",
    "{Setup}. {Turn}, and {H} ended up {feel}.",
    "When {setup}, {turn}. {H} was {feel} about it.",
    "{Setup}, {link} {turn}, and that made {H} feel {feel}.",
)
SIDE_SHARE = 0.2
MIN_WORDS, MAX_WORDS = 18, 40
MAX_ATTEMPTS = 100


def summarise(plot: Plot, turn: Turn, side: SideEvent, slots: dict[str, str], rng: Random) -> tuple[str, str, str]:
    """Three summaries that differ in shape and, as far as there are enough, in every clause."""
    shapes = rng.sample(SHAPES, len(SHAPES))
    setups = rng.sample(plot.summary.texts, len(plot.summary.texts))
    turns = rng.sample(turn.summary.texts, len(turn.summary.texts))
    summaries: list[str] = []
    for _ in range(MAX_ATTEMPTS):
        # Whatever is tried moves to the back, so what has just been used is not used again soon.
        shapes.append(shapes.pop(0))
        setups.append(setups.pop(0))
        shape = shapes[-1]
        local = dict(slots, it="it" if rng.random() < 0.6 else f"the {slots['toy']}")
        setup, happened = fill(setups[-1], rng, local), fill(turns[0], rng, local)
        inner = "{setup}" in shape
        if inner and not setup[0].isupper():
            continue
        if not inner and setup[0].isupper() and rng.random() < SIDE_SHARE:
            setup = f"{side.lead.fill(rng, slots)} {setup}"
        text = shape.format(
            setup=setup,
            Setup=setup[0].upper() + setup[1:],
            turn=happened,
            Turn=happened[0].upper() + happened[1:],
            link=turn.link,
            H=slots["H"],
            feel=slots["feel"],
        )
        if MIN_WORDS <= text.count(" ") + 1 <= MAX_WORDS:
            summaries.append(text)
            turns.append(turns.pop(0))
            shapes.pop()
            if len(summaries) == 3:
                return tuple(summaries)
    raise AssertionError(f"{plot.name}, {turn.name}: no three summaries of the right length")
