"""A look inside as data: `inside.json`, whatever is read by eye, and `inside.npz`, the arrays in full."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rot5.inspect.experts import Specialisation
from rot5.inspect.heads import LEAST_QUERIES, RULES, THRESHOLD, TIMES_EVEN, Heads
from rot5.inspect.look import Inside, Survey
from rot5.inspect.tokens import Tokens

FORMAT = 1
JSON, ARRAYS = "inside.json", "inside.npz"
DIGITS = 4
"""Significant ones of figures in the JSON file."""


def told(inside: Inside) -> dict[str, Any]:
    """What `inside.json` holds: its schema is in docs/inspect.md."""
    passage, tokenizer = inside.passage, inside.subject.loaded.tokenizer
    lens, traced = inside.lens, inside.attribution
    answers = [text.strip() for text in tokenizer.batch_decode(lens.answers, skip_special_tokens=True)]
    return plain(
        {
            "format": FORMAT,
            "model": inside.subject.name,
            "given": passage.given,
            "source": _tokens(passage.source),
            "target": _tokens(passage.target),
            "decoder": _tokens(inside.before),
            "heads": {
                "rules": RULES,
                "threshold": THRESHOLD,
                "times_even": TIMES_EVEN,
                "least_queries": LEAST_QUERIES,
                **{name: _heads(heads) for name, heads in inside.heads.items()},
            },
            "lens": [
                {"layer": layer, "text": text, "ids": ids, "nats_per_token": -float(log_probs.mean())}
                for layer, (text, ids, log_probs) in enumerate(
                    zip(answers, lens.answers, lens.log_probs_KT, strict=True)
                )
            ],
            "attribution": {
                "log_probs": traced.log_probs_W,
                "differences": traced.difference_W,
                "gap": traced.gap,
                "agreement": traced.agreement,
            },
            "experts": {
                "of": "text" if inside.survey is None else "corpus",
                "layers": {
                    place: {name: _specialisation(each) for name, each in found.items()}
                    for place, found in inside.experts.items()
                },
            },
            "neurons": None if inside.survey is None else _neurons(inside.survey),
        }
    )


def arrays(inside: Inside) -> dict[str, NDArray]:
    """What `inside.npz` holds."""
    traced, maps = inside.attribution, inside.attention
    found: dict[str, Any] = {
        "attention/encoder": maps.encoder_LHSS.numpy(),
        "attention/decoder": maps.decoder_LHTT.numpy(),
        "attention/cross": maps.cross_LHTS.numpy(),
        "lens/log_probs": inside.lens.log_probs_KT.numpy(),
        "attribution/gradient": traced.gradient_WV,
        "attribution/integrated": traced.integrated_WV,
        "attribution/left_out": traced.left_out_WV,
    }
    for place, way in inside.routes.items():
        found |= {f"experts/{place}": way.experts_TK.numpy(), f"gates/{place}": way.gates_TK.numpy()}
    for layer, top in inside.survey.tops.items() if inside.survey else ():
        found |= {
            f"neurons/{layer}/values": top.values_NF.numpy(),
            f"neurons/{layer}/documents": top.documents_NF.numpy(),
            f"neurons/{layer}/places": top.places_NF.numpy(),
        }
    return {name: array for name, array in found.items() if array is not None}


def plain(value: Any) -> Any:
    """The same as JSON has it: arrays as lists, fractions rounded, None for what is no number.

    >>> plain({"a": np.array([1 / 3, np.nan]), "b": 7})
    {'a': [0.3333, None], 'b': 7}
    """
    match value:
        case dict():
            return {key: plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case np.ndarray():
            return plain(value.tolist())
        case float():
            return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        case _:
            return value


def as_json(value: dict[str, Any]) -> str:
    """One entry a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(each, ensure_ascii=False)}" for key, each in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _tokens(tokens: Tokens) -> dict[str, Any]:
    return tokens._asdict()


def _heads(heads: Heads) -> dict[str, Any]:
    return {
        "kinds": heads.kinds,
        "even": heads.even_K,
        "queries": heads.queries_K,
        "shares": heads.shares_LHK,
        "labels": heads.labels,
    }


def _specialisation(found: Specialisation) -> dict[str, Any]:
    return {
        "classes": found.classes,
        "counts": found.counts_CE,
        "lift": found.lift_CE,
        "bits": found.bits,
        "bits_by_chance": found.bits_by_chance,
    }


def _neurons(survey: Survey) -> dict[str, Any]:
    return {
        "documents": survey.documents,
        "layers": {
            layer: [
                {"unit": each.number, "on_text": each.on_text, "contexts": [one._asdict() for one in each.contexts]}
                for each in units
            ]
            for layer, units in survey.units.items()
        },
    }
