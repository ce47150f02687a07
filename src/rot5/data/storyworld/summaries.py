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
CLAUSES = frozenset(("so", "when", "because", "though"))
"""A problem told with one of these stands badly behind "When"."""
MAX_ATTEMPTS = 100


def summarise(plot: Plot, turn: Turn, side: SideEvent, slots: dict[str, str], rng: Random) -> tuple[str, str, str]:
    """Three summaries that differ in their shape, in the clause for the problem and in the clause for the turn."""
    shapes = rng.sample(SHAPES, len(SHAPES))
    setups = rng.sample(plot.summary.texts, len(plot.summary.texts))
    turns = rng.sample(turn.summary.texts, len(turn.summary.texts))
    summaries: list[str] = []
    for _ in range(MAX_ATTEMPTS):
        shape, setup_text, turn_text = shapes.pop(0), setups.pop(0), turns.pop(0)
        local = dict(slots, it="it" if rng.random() < 0.6 else f"the {slots['toy']}")
        setup, happened = fill(setup_text, rng, local), fill(turn_text, rng, local)
        inner = "{setup}" in shape
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
        fits = not inner or (setup[0].isupper() and not CLAUSES & set(setup.split()))
        if fits and MIN_WORDS <= text.count(" ") + 1 <= MAX_WORDS:
            summaries.append(text)
            if len(summaries) == 3:
                return summaries[0], summaries[1], summaries[2]
        else:
            shapes.append(shape)
            setups.append(setup_text)
            turns.append(turn_text)
    raise AssertionError(f"{plot.name}, {turn.name}: no three summaries of the right length")
