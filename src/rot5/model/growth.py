"""Growing a trained model: a larger one that computes the same function, to be trained further.

Every change works on named weights and gives new ones. Shape suffixes: D d_model, F d_ff, H heads, K key-value heads,
d head width, E experts; primes mean the grown model.
"""

import copy
from dataclasses import fields
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch.nn.functional import pad

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

Weights = dict[str, torch.Tensor]

WIDTHS = ("d_ff", "num_heads", "num_key_value_heads", "d_model")
DEPTHS = ("num_layers", "num_decoder_layers")
EXPERTS = ("num_experts", "num_experts_per_tok")
EXPERT_PLACES = ("encoder_sparse_step", "decoder_sparse_step", "num_shared_experts")
"""What a dense model may choose when it gains experts, and a sparse one no more."""
FREE = (
    "dropout_rate",
    "attention_backend",
    "router_aux_loss_coef",
    "router_z_loss_coef",
    "router_bias_update_rate",
    "router_jitter_noise",
    "expert_capacity_factor",
)
"""What no weight depends on."""
DERIVED = ("layer_norm_epsilon", "router_scaling_factor")
"""What follows from the other changes."""

READERS = ("q_proj", "k_proj", "v_proj", "up_proj", "gate_proj", "router", "lm_head")
"""Weights whose last axis is d_model."""
WRITERS = ("o_proj", "down_proj")
"""Weights whose output is added to the residual stream."""

ROUTER_NOISE = 3e-7
"""Spread of router weights, and so of logits, among experts that are copies: a few steps of float32, so that tokens
choose between them, and gates are as good as equal."""


def grow(model: Rot5ForConditionalGeneration, **changes: Any) -> Rot5ForConditionalGeneration:
    """A larger model with the same logits, up to rounding; its configuration is the old one with `changes`.

    `changes` are fields of `Rot5Config`, alone or together. What is new begins silent, behind weights that are zero,
    and gradients reach it within two steps (Net2Net, arXiv:1511.05641). Random values are of the model's own
    initialisation, from torch's global generator.

    - `d_ff`: new units read at random and write nothing.
    - `num_heads`, `num_key_value_heads`: new heads look at random and write nothing; key-value heads are repeated as
      far as old heads need them, so that each old head keeps a copy of its own, and are random beyond.
    - `d_model`: new features of the residual stream begin as zeros, read at random. `layer_norm_epsilon` follows.
    - `num_layers`, `num_decoder_layers`: each new layer is a copy of the layer before it that writes nothing.
    - `num_experts` (with `num_experts_per_tok`, `encoder_sparse_step` and `decoder_sparse_step`) of a dense model:
      experts are copies of its feed-forwards (sparse upcycling, arXiv:2212.05055); of a sparse one: a multiple, each
      expert copied as often. `router_scaling_factor` follows, so that gates add up to what they were. Where a token's
      two best experts are as close as 1e-6 to each other, the noise that tells copies apart may choose the other.
    - `dropout_rate`, `attention_backend`, `expert_capacity_factor` and the routers' loss coefficients, bias rate and
      jitter are free. Experts that drop tokens compute another function: this is exact without a capacity.

    The result has the old one's dtypes (its new routers are float32), device, mode, ties and generation settings, and
    shares no memory with it. In bfloat16 weights that `d_model` scales are rounded once more: grow in float32 for
    equality beyond that. Raises ValueError for other fields, for smaller values, and for sizes that no arrangement of
    the old weights fits.
    """
    old = model.config
    new = _grown_config(old, changes)
    tied = model.get_expanded_tied_weights_keys()
    weights = {name: weight for name, weight in model.state_dict().items() if name not in tied}
    if any(getattr(new, name) != getattr(old, name) for name in WIDTHS):
        wide = type(model)(_replaced(old, {name: getattr(new, name) for name in WIDTHS})).state_dict()
        fresh = {name: wide[name].to(weight) for name, weight in weights.items()}
        weights = _wider_feed_forward(weights, fresh)
        weights = _more_heads(weights, fresh, old, new)
        weights = _wider_stream(weights, fresh, old, new)
    weights = _more_layers(weights, old, new)
    weights = _more_experts(weights, old, new) if old.num_experts else _first_experts(weights, new)

    grown = type(model)(new).to(model.device)  # type: ignore[arg-type]
    own = {name: weight.clone(memory_format=torch.contiguous_format) for name, weight in weights.items()}
    missing, unexpected = grown.load_state_dict(own, strict=False, assign=True)
    assert set(missing) == set(tied) and not unexpected, (missing, unexpected)
    grown.tie_weights()
    grown.generation_config = copy.deepcopy(model.generation_config)
    return grown.train(model.training)


def _replaced(config: Rot5Config, changes: dict[str, Any]) -> Rot5Config:
    """The configuration with other values. Raises ValueError, as the refusals of transformers' dataclasses are none."""
    try:
        return type(config).from_dict({**config.to_dict(), **changes})
    except StrictDataclassError as error:
        raise ValueError(str(error.__cause__ or error)) from error


def _grown_config(old: Rot5Config, changes: dict[str, Any]) -> Rot5Config:
    """The configuration with its changes and what follows from them. Raises ValueError for what cannot be grown."""
    known = {field.name for field in fields(old)}
    allowed = (*WIDTHS, *DEPTHS, *EXPERTS, *FREE, *(() if old.num_experts else EXPERT_PLACES))
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"grow cannot change {name} to {value!r}: Rot5Config has no such field")
        before = getattr(old, name)
        if name in DERIVED:
            raise ValueError(f"grow cannot change {name} from {before!r} to {value!r}: it follows from the others")
        if name not in allowed and value != before:
            advice = ": use resize_token_embeddings" if name == "vocab_size" else ""
            raise ValueError(f"grow cannot change {name} from {before!r} to {value!r}{advice}")
    new = _replaced(old, changes)
    for name in (*WIDTHS, *DEPTHS, "num_experts"):
        if getattr(new, name) < getattr(old, name):
            raise ValueError(f"grow cannot shrink {name} from {getattr(old, name)} to {getattr(new, name)}")
    _head_places(old, new)
    _check_sparse_pattern(old, new)
    return _replaced(
        new,
        {
            "layer_norm_epsilon": old.layer_norm_epsilon * (old.d_model / new.d_model),
            "router_scaling_factor": _scaling_factor(old, new),
        },
    )


def _kind(name: str) -> str:
    """What a weight is, wherever it stands.

    >>> _kind("encoder.layers.0.mlp.up_proj.weight"), _kind("encoder.layers.0.mlp.experts.up_proj")
    ('up_proj', 'up_proj')
    """
    return name.removesuffix(".weight").rpartition(".")[2]


def _wider_feed_forward(weights: Weights, fresh: Weights) -> Weights:
    """New inner units behind the old ones: their input weights random, their output weights zero."""
    grown = dict(weights)
    for name, weight in weights.items():
        if _kind(name) in ("up_proj", "gate_proj"):
            F, D = weight.shape[-2:]
            grown[name] = torch.cat((weight, fresh[name][..., F:, :D]), dim=-2)
        elif _kind(name) == "down_proj":
            grown[name] = pad(weight, (0, fresh[name].shape[-1] - weight.shape[-1]))
    return grown


def _head_places(old: Rot5Config, new: Rot5Config) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each old head goes [H], and which old key-value head each of the first new ones copies [K * copies].

    A key-value head serves H'/K' heads, so one that served H/K of them needs ceil((H/K) / (H'/K')) copies, side by
    side. Raises ValueError if K' has no room for the copies of all.
    """
    H, K, more_H, more_K = old.num_heads, old.num_key_value_heads, new.num_heads, new.num_key_value_heads
    assert K is not None and more_K is not None
    served, now_served = H // K, more_H // more_K
    copies = -(-served // now_served)
    if K * copies > more_K:
        raise ValueError(
            f"num_heads {more_H} with num_key_value_heads {more_K} leaves {now_served} heads to each key-value head: "
            f"{H} heads, {served} to each of {K}, would need {K * copies} key-value heads"
        )
    head_H = torch.arange(H)
    group_H, member_H = head_H // served, head_H % served
    place_H = (group_H * copies + member_H // now_served) * now_served + member_H % now_served
    return place_H, torch.arange(K).repeat_interleave(copies)


def _more_heads(weights: Weights, fresh: Weights, old: Rot5Config, new: Rot5Config) -> Weights:
    """Old heads at their new places, old key-value heads as often as needed, and random ones that write nothing."""
    grown, D, device = dict(weights), old.d_model, weights["shared.weight"].device
    places, sources = (heads.to(device) for heads in _head_places(old, new))
    feature_d = torch.arange(old.d_kv, device=device)
    rows, key_rows = ((heads[:, None] * old.d_kv + feature_d).flatten() for heads in (places, sources))
    for name, weight in weights.items():
        kind = _kind(name)
        if kind == "q_proj":
            grown[name] = fresh[name][:, :D].index_copy(0, rows, weight)
        elif kind in ("k_proj", "v_proj"):
            grown[name] = torch.cat((weight[key_rows], fresh[name][len(key_rows) :, :D]))
        elif kind == "o_proj":
            grown[name] = torch.zeros_like(fresh[name][:D]).index_copy(1, rows, weight)
        elif kind == "relative_bias":
            grown[name] = fresh[name].index_copy(1, places, weight)
    return grown


def _wider_stream(weights: Weights, fresh: Weights, old: Rot5Config, new: Rot5Config) -> Weights:
    """New features of the residual stream, zero for every token: x' = [x, 0].

    With r = D / D' the mean of x'^2 is r times that of x^2, so with epsilon' = r epsilon RMSNorm divides by sqrt(r)
    too little, and its weights take that factor. Norms per head keep their width but share epsilon: queries and keys
    that are normalised take sqrt(r), which makes their mean square too r times what it was. Where the embedding is
    scaled by sqrt(D') instead of sqrt(D), it takes sqrt(r). The logits then lack sqrt(r) where the head is that
    embedding, and once more where decoder outputs are divided by sqrt(D'): the decoder's last norm gives it back.
    Routers divide their logits by sqrt(D') and are larger by 1 / sqrt(r).
    """
    root = (old.d_model / new.d_model) ** 0.5
    added = new.d_model - old.d_model
    scaled_embedding = old.parametrization != "t5"
    lost = root ** ((scaled_embedding and old.tie_word_embeddings) + bool(old.scale_decoder_outputs))
    scales = {"router": 1 / root} | ({"q_proj": root, "k_proj": root} if old.qk_norm else {})
    grown = dict(weights)
    for name, weight in weights.items():
        kind = _kind(name)
        if kind == "shared":
            grown[name] = pad(weight * root if scaled_embedding else weight, (0, added))
        elif kind in WRITERS:
            grown[name] = pad(weight, (0, 0, 0, added))
        elif kind in READERS:
            grown[name] = torch.cat((weight * scales.get(kind, 1.0), fresh[name][..., old.d_model :]), dim=-1)
        elif kind.endswith("norm") and kind not in ("q_norm", "k_norm"):
            scale = root / lost if name == "decoder.norm.weight" else root
            grown[name] = pad(weight * scale, (0, added), value=scale)
    return grown


def _stacks(config: Rot5Config) -> tuple[tuple[str, int, bool], ...]:
    """Name and number of layers of each stack, and whether it is the decoder."""
    return ("encoder", config.num_layers, False), ("decoder", config.num_decoder_layers or 0, True)


def _layer_sources(count: int, total: int) -> list[int]:
    """Which of `count` layers each of `total` is or copies; the first of equals is the layer itself.

    >>> _layer_sources(3, 5)
    [0, 0, 1, 1, 2]
    """
    return [i * count // total for i in range(total)]


def _check_sparse_pattern(old: Rot5Config, new: Rot5Config) -> None:
    """Raise ValueError if a layer would stand where its feed-forward does not fit."""
    if not old.num_experts:
        return
    for (stack, count, decoder), (_, total, _) in zip(_stacks(old), _stacks(new), strict=True):
        if any(
            new.is_sparse(decoder, i) != old.is_sparse(decoder, source)
            for i, source in enumerate(_layer_sources(count, total))
        ):
            step = getattr(old, f"{stack}_sparse_step")
            raise ValueError(
                f"grow cannot add to {count} {stack} layers to make {total} with {stack}_sparse_step {step}: "
                "copies between them would change which layers hold experts"
            )


def _more_layers(weights: Weights, old: Rot5Config, new: Rot5Config) -> Weights:
    """Copies among the layers, each behind its original, evenly spread; what they would add to the stream is zero."""
    grown = {name: weight for name, weight in weights.items() if ".layers." not in name}
    for (stack, count, _), (_, total, _) in zip(_stacks(old), _stacks(new), strict=True):
        sources = _layer_sources(count, total)
        for i, source in enumerate(sources):
            is_copy, prefix = source in sources[:i], f"{stack}.layers.{source}."
            for name, weight in weights.items():
                if name.startswith(prefix):
                    silent = is_copy and _kind(name) in WRITERS
                    own_name = f"{stack}.layers.{i}.{name.removeprefix(prefix)}"
                    grown[own_name] = torch.zeros_like(weight) if silent else weight
    return grown


def _scaling_factor(old: Rot5Config, new: Rot5Config) -> float | int:
    """`router_scaling_factor` with which the gates of copies add up to the gate of what they copy.

    Of E copies of one network, each has probability 1/E and K are chosen: E/K. Copying each of E experts m times
    divides probabilities by m, and K'/K times as many of them are added: the old factor times m K/K'. The same is
    chosen where K is 1 and all K' chosen are copies of the best, or where K' is m K. Raises ValueError elsewhere.
    """
    E, K, more_E, more_K = old.num_experts, old.num_experts_per_tok, new.num_experts, new.num_experts_per_tok
    if not more_E:
        return old.router_scaling_factor
    if not E:
        if new.num_shared_experts:
            raise ValueError(
                f"num_experts cannot grow from 0 to {more_E} with num_shared_experts {new.num_shared_experts}: "
                "what all tokens go through has nothing to copy; set it to 0"
            )
        return more_E / more_K
    if more_E % E:
        raise ValueError(f"num_experts can grow from {E} to a multiple of it, not to {more_E}")
    copies = more_E // E
    if more_K != K * copies and (K > 1 or more_K > copies):
        raise ValueError(
            f"num_experts cannot grow from {E} to {more_E} with num_experts_per_tok from {K} to {more_K}: copies of "
            f"the same experts would be chosen, or other experts; num_experts_per_tok must become {K * copies}"
        )
    return old.router_scaling_factor * copies * K / more_K


def _first_experts(weights: Weights, new: Rot5Config) -> Weights:
    """Every expert of a sparse layer a copy of its feed-forward, the router all but indifferent."""
    grown, E = dict(weights), new.num_experts
    for stack, count, decoder in _stacks(new):
        for mlp in (f"{stack}.layers.{i}.mlp" for i in range(count) if new.is_sparse(decoder, i)):
            for kind in ("up_proj", "gate_proj", "down_proj") if new.is_gated else ("up_proj", "down_proj"):
                grown[f"{mlp}.experts.{kind}"] = grown.pop(f"{mlp}.{kind}.weight").expand(E, -1, -1)
            device = weights["shared.weight"].device
            grown[f"{mlp}.router.weight"] = torch.randn(E, new.d_model, device=device) * ROUTER_NOISE
            grown[f"{mlp}.router.selection_bias"] = torch.zeros(E, device=device)
    return grown


def _more_experts(weights: Weights, old: Rot5Config, new: Rot5Config) -> Weights:
    """Copies beside each expert, their rows of the router told apart by noise."""
    grown, copies = dict(weights), new.num_experts // old.num_experts
    if copies == 1:
        return grown
    for name, weight in weights.items():
        if ".mlp.experts." in name or _kind(name) in ("router", "selection_bias"):
            grown[name] = weight.repeat_interleave(copies, dim=0)
        if _kind(name) == "router":
            grown[name] += ROUTER_NOISE * torch.randn_like(grown[name])
    return grown
