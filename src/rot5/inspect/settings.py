"""How closely a model is looked at."""

from dataclasses import dataclass

FEWEST_STEPS = 16
"""Points of integrated gradients that every way is begun with."""


@dataclass(frozen=True, kw_only=True)
class AttributionConfig:
    """How the written words are traced back to the words that were read."""

    steps: int = 64
    """Most points on the way from padding to the text at which gradients are taken for integrated gradients; 0 leaves
    these out."""
    leave_out: int = 256
    """Also leave out each word in turn where the text has at most so many words; 0 for never."""


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """Which units of the feed-forward networks are followed through a corpus, and how far."""

    layers: str = ""
    """Layers with commas between, as in `encoder.0,decoder.2`; empty for all but those of experts."""
    units: str = ""
    """Numbers of the units that are shown of each layer, with commas between; empty for those that the text excites
    most."""
    shown: int = 12
    """So many of them where none are named."""
    contexts: int = 8
    """Places kept of each unit: those that excite it most."""
    around: int = 8
    """Tokens shown on each side of a place."""
    documents: int = 1000
    """The first so many documents, or pairs, are read; 0 for all."""
    batch: int = 16
    """Documents read at once."""


def problems(attribution: AttributionConfig, neurons: NeuronConfig) -> list[str]:
    """What cannot work, one sentence each."""
    found = [
        f"{room}.{key} {getattr(settings, key)} must not be negative"
        for room, settings, keys in (
            ("attribution", attribution, ("steps", "leave_out")),
            ("neurons", neurons, ("around", "documents")),
        )
        for key in keys
        if getattr(settings, key) < 0
    ]
    found += [
        f"neurons.{key} {getattr(neurons, key)} must be at least 1"
        for key in ("shown", "contexts", "batch")
        if getattr(neurons, key) < 1
    ]
    if 0 < attribution.steps < FEWEST_STEPS:
        found.append(f"attribution.steps {attribution.steps} must be at least {FEWEST_STEPS}, or 0 to leave them out")
    if not all(number.strip().isdecimal() for number in neurons.units.split(",") if neurons.units):
        found.append(f"neurons.units {neurons.units!r} are not numbers with commas between, as in 0,3,17")
    return found
