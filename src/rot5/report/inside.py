"""The page of a look inside a model: tables as they are, and maps that a small script lays open token by token."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rot5.report.frame import Section, asset, header, in_sections, write_html
from rot5.report.html import Html, element, join
from rot5.report.tables import Column, html_table

MOST_BYTES = 3_000_000
"""Of all maps of attention on the page, packed; smaller weights are left out until they fit."""
LEAST_WEIGHT = 0.001
"""Weights below it are never shown."""
LEVELS = 255
"""Steps of the square root of a weight."""
STACKS = {"encoder": "Encoder", "decoder": "Decoder", "cross": "Cross-attention"}
METHODS = {"integrated": "Integrated gradients", "gradient": "Gradient times input", "left_out": "Leaving a word out"}

Told = Mapping[str, Any]
Arrays = Mapping[str, NDArray]


def write_inside(folder: Path, told: Told, arrays: Arrays) -> Path:
    """Write `inside.html` from what `inside.json` and `inside.npz` hold, and return its path."""
    maps, floor = packed({stack: arrays[f"attention/{stack}"] for stack in STACKS})
    sections: list[Section] = [
        ("Text", _text(told)),
        ("Attention", _attention(floor)),
        ("Heads", _heads(told["heads"])),
        ("Decoder lens", _lens(told["lens"])),
        ("Which words counted", _attribution(told["attribution"])),
        ("Experts", _experts(told["experts"])),
        ("Units", _units(told["neurons"])),
    ]
    data = {
        "tokens": {name: told[name] for name in ("source", "target", "decoder")},
        "attention": maps,
        "heads": {stack: told["heads"][stack] for stack in STACKS},
        "attribution": {
            name: {"title": title, "words": _rounded(arrays[f"attribution/{name}"])}
            for name, title in METHODS.items()
            if f"attribution/{name}" in arrays
        },
        "experts": {
            place: {"chosen": arrays[f"experts/{place}"].tolist(), "gates": _rounded(arrays[f"gates/{place}"])}
            for place in told["experts"]["layers"]
        },
    }
    written = "what it is given to write" if told["given"] else "its answer"
    about = f"A look inside {told['model']} at work: it reads a text and writes {written}."
    body = join([header("Inside", about), in_sections(sections), json_block("data", data)])
    return write_html(folder, "Inside", body, name="inside.html", style=asset("inside.css"), script=asset("inside.js"))


def json_block(name: str, value: object) -> Html:
    """Data for the script, in which nothing can be taken for markup."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return element("script", Html(text), type="application/json", id=name)


def packed(maps: Mapping[str, NDArray]) -> tuple[dict[str, dict[str, Any]], float]:
    """Maps [L, H, T, S] for the page, and the weight below which they are 0 there.

    Square roots of weights in whole steps, a byte each, deflated and in base 64.
    """
    floor, most = LEAST_WEIGHT, MOST_BYTES
    while True:
        streams = {
            name: zlib.compress(
                np.where(weights < floor, 0, np.rint(np.sqrt(weights) * LEVELS)).astype(np.uint8).tobytes()
            )
            for name, weights in maps.items()
        }
        if sum(map(len, streams.values())) <= most or floor > 1:
            break
        floor *= 2
    found = {
        name: {"shape": maps[name].shape, "bytes": base64.b64encode(stream).decode()}
        for name, stream in streams.items()
    }
    return found, floor


def _rounded(values: NDArray) -> list:
    """Three significant digits; None for what is no number."""

    def short(value: float) -> float | None:
        return float(f"{value:.3g}") if np.isfinite(value) else None

    return [[short(value) for value in row] for row in values.tolist()]


def _lab(name: str, *notes: str) -> Html:
    """Where the script puts a view, and what stands there without it."""
    without = element("noscript", element("p", "This view needs JavaScript; the tables do not.", class_="note"))
    return join(
        [*(element("p", note, class_="note") for note in notes), element("div", without, id=name, class_="lab")]
    )


def _text(told: Told) -> Html:
    written = "What it was given to write" if told["given"] else "What it writes"
    texts = [("What it reads", "source"), (written, "target")]
    return join(
        element("div", element("h3", title), element("p", "".join(told[name]["texts"]).strip(), class_="read"))
        for title, name in texts
    )


def _attention(floor: float) -> Html:
    return _lab(
        "attention",
        "Choose a layer and a head, then a token, by pointer, Tab or arrow keys: what it looks at is tinted. A place "
        "of the decoder is named by the token that it reads, in cross-attention by the one that it is about to write.",
        f"Weights are rounded to about a hundredth, and those below {floor:g} left out; inside.npz has them in full.",
    )


def _heads(heads: Told) -> Html:
    rules = [element("li", element("b", kind), f": {rule}") for kind, rule in heads["rules"].items()]
    note = (
        "A share is the mean weight on keys of a kind, over the places that can see some. A head's label is the kind "
        f"of its largest share that is above {heads['threshold']:g}, above {heads['times_even']:g} times what looking "
        f"at everything alike would give (a table's first row), and that {100 * heads['least_queries']:g} % of the "
        "places can have at all; else it is mixed. Kinds overlap."
    )
    tables = [
        element("details", element("summary", f"{title}: {_in_short(heads[stack])}"), _head_table(heads[stack], title))
        for stack, title in STACKS.items()
    ]
    return join([element("p", note, class_="note"), element("ul", *rules, class_="rules"), *tables])


def _in_short(heads: Told) -> str:
    """How many heads have each label, the most frequent first."""
    labels = [label for layer in heads["labels"] for label in layer]
    counts = sorted(((labels.count(label), label) for label in set(labels)), key=lambda pair: (-pair[0], pair[1]))
    return ", ".join(f"{count} {label}" for count, label in counts)


def _head_table(heads: Told, title: str) -> Html:
    kinds = heads["kinds"]
    rows: list[dict[str, Any]] = [{"head": "even", **dict(zip(kinds, heads["even"], strict=True))}]
    for layer, (shares, labels) in enumerate(zip(heads["shares"], heads["labels"], strict=True)):
        rows += [
            {"head": f"{layer}.{head}", "label": label, **dict(zip(kinds, share, strict=True))}
            for head, (share, label) in enumerate(zip(shares, labels, strict=True))
        ]
    columns = [
        Column("head", "Layer.head", text=True),
        Column("label", "Label", text=True),
        *(Column(kind, kind, digits=2) for kind in kinds),
    ]
    return html_table(rows, columns, f"{title}: shares of attention by head")


def _lens(layers: Sequence[Told]) -> Html:
    columns = [
        Column("layer", "Layers read"),
        Column("nats_per_token", "Nats per token of the text above", digits=3),
        Column("text", "What it writes", text=True),
    ]
    note = (
        "The decoder reads the vectors behind so many layers of the encoder, under the encoder's final norm, in place "
        "of the last ones (DecoderLens, arXiv:2310.03686). Behind 0 stand the embeddings; the last row is the model as "
        "it is."
    )
    table = html_table(layers, columns, "What the decoder writes from each layer of the encoder")
    return join([element("p", note, class_="note"), table])


def _attribution(traced: Told) -> Html:
    notes = [
        "Choose a written word: words of the text that raised its log-probability are tinted in one colour, those "
        "that lowered it, underlined, in the other. Figures are in nats. Integrated gradients lead from padding to the "
        "text; leaving a word out is exact, of one word at a time."
    ]
    if traced["gap"] is not None:
        notes.append(f"Integrated gradients add up to the difference they explain within {traced['gap']:.2g} nats.")
    if traced["agreement"] is not None:
        notes.append(f"Rank correlation of gradients with leaving words out: {traced['agreement']:.2f}, on the mean.")
    return _lab("attribution", *notes)


def _experts(experts: Told) -> Html | None:
    if not experts["layers"]:
        return None
    note = (
        "Lift is how often an expert takes tokens of a class, in units of how often it takes any. Bits are the mutual "
        "information of class and expert; by chance alone counting would find about the figure behind it."
    )
    tables = [
        _lift_table(place, name, found, experts["of"])
        for place, tables in experts["layers"].items()
        for name, found in tables.items()
    ]
    return join([_lab("experts", "Which expert takes which token: its number, and its share as tint."),
                 element("p", note, class_="note"), *tables])  # fmt: skip


def _lift_table(place: str, name: str, found: Told, of: str) -> Html:
    rows = [
        {"class": title, "tokens": sum(counts), **{str(expert): lift for expert, lift in enumerate(lifts)}}
        for title, counts, lifts in zip(found["classes"], found["counts"], found["lift"], strict=True)
    ]
    columns = [
        Column("class", name.capitalize(), text=True),
        Column("tokens", "Choices"),
        *(Column(str(expert), f"Expert {expert}", digits=2) for expert in range(len(found["counts"][0]))),
    ]
    told = f"{place}, lift by {name}, of the {of}: {found['bits']:.3f} bits, by chance {found['bits_by_chance']:.3f}"
    return html_table(rows, columns, told)


def _units(neurons: Told | None) -> Html | None:
    if neurons is None:
        return None
    note = (
        f"Units of the feed-forward networks, and the places in {neurons['documents']:,} documents of the corpus that "
        "excite them most; the token is marked. Behind a unit's number stands its largest activation on the text above."
    )
    layers = [
        element("details", element("summary", f"{layer}: {len(units)} units"), *map(_unit, units))
        for layer, units in neurons["layers"].items()
    ]
    return join([element("p", note, class_="note"), *layers])


def _unit(unit: Told) -> Html:
    rows = [
        element("li", element("b", f"{found['value']:.2f}"), element("span", *_context(found)))
        for found in unit["contexts"]
    ]
    heading = element("h3", f"Unit {unit['unit']}", element("span", f"{unit['on_text']:.2f}"))
    return element("div", heading, element("ol", *rows, class_="contexts"), class_="unit")


def _context(found: Told) -> Iterator[str]:
    texts, at = found["texts"], found["at"]
    yield "".join(texts[:at])
    yield element("mark", texts[at])
    yield "".join(texts[at + 1 :])
