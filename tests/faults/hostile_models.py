"""Model folders of strangers."""

import contextlib
import io
import json
from random import Random

import numpy as np
from faults import hostile
from faults.world import Damage, World
from safetensors.numpy import save

from rot5.loading import load


def make_model(world: World, draw: Random) -> Damage:
    files = world.files["model"]
    name = draw.choice(("config.json", "config.json", "config.json", *files))
    if draw.random() < 0.02:
        return Damage("model", {name: None})
    if name.endswith(".safetensors"):
        return Damage("model", {name: _hostile_weights(files[name], draw)})
    tree = json.loads(files[name])
    for _ in range(draw.choice((1, 1, 2))):
        tree = hostile.changed(tree, draw)
    if name == "config.json" and draw.random() < 0.2:
        other = draw.choice(("t5", "bart", "gpt2", "llama", "mt5", "encoder-decoder", "clip", "x"))
        tree = {"model_type": other, "auto_map": {"AutoConfig": "x.C"}} if draw.random() < 0.3 else tree
        tree = {**tree, "model_type": other} if isinstance(tree, dict) else tree
    return Damage("model", {name: hostile.as_json(tree, draw)})


def _hostile_weights(data: bytes, draw: Random) -> bytes:
    if draw.random() < 0.3:
        return hostile.damaged(data, draw)
    if draw.random() < 0.1:
        return save({"shared.weight": np.zeros((draw.choice((0, 1, 5)), 8), draw.choice((np.float32, np.int8)))})
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(hostile.changed(json.loads(data[8 : 8 + size]), draw)).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def check_model(world: World, damage: Damage) -> None:
    """A model folder is refused, or its model answers."""
    folder = world.restored("model", damage.changes)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = load(str(folder))
    assert sum(weights.numel() for weights in found.model.parameters()) < 2**22
    assert isinstance(found.prefix, str)
