"""The ways to compute one attention, behind one function."""

import torch

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.documents import Documents, attend_in_documents, group_documents
from rot5.model.flex import Blocks, attend_in_blocks, block_scene
from rot5.model.masked import Masked, attend_masked, mask_scene
from rot5.model.scene import Scene
from rot5.model.varlen import Streams, attend_in_streams, stream_scene

Sight = Masked | Documents | Blocks | Streams
"""What queries may see, in the form that its backend wants; made once per batch and used by every layer."""

PLANS = {
    "sdpa": mask_scene,
    "eager": lambda scene: mask_scene(scene, eager=True),
    "per_document": group_documents,
    "flex_attention": block_scene,
    "varlen": stream_scene,
}
KERNELS = {
    Masked: attend_masked,
    Documents: attend_in_documents,
    Blocks: attend_in_blocks,
    Streams: attend_in_streams,
}


def choose_backend(config: Rot5Config, device_type: str, packed: bool, output_attentions: bool) -> str:
    """Name of the backend: eager where weights are wanted, a mask for what is not packed, else as set.

    `auto` takes packed rows apart on a CPU, where masked attention is slow. Compiled code keeps the mask, whose shape
    does not change from batch to batch. What a CPU cannot run gives way there too, so that a model keeps its setting
    wherever it is used: varlen, and the gradient of flex_attention.
    """
    if output_attentions or config.attention_backend == "eager":
        return "eager"
    if not packed:
        return "sdpa"
    wanted, on_cpu = config.attention_backend, device_type == "cpu"
    gives_way = wanted == "varlen" or (wanted == "flex_attention" and torch.is_grad_enabled())
    if wanted != "auto" and not (on_cpu and gives_way):
        return wanted
    return "per_document" if on_cpu and not torch.compiler.is_compiling() else "sdpa"


def plan_sight(backend: str, scene: Scene) -> Sight:
    """What the backend needs to know of an attention."""
    return PLANS[backend](scene)


def attend(
    q_BHTd: torch.Tensor, k_BKSd: torch.Tensor, v_BKSd: torch.Tensor, sight: Sight, scale: float, dropout: float
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """softmax(q k^T * scale + what the sight adds) v: [B, H, T, d], and the weights [B, H, T, S] if eager.

    Each key-value head serves as many query heads as stand behind it. All backends agree where there are tokens; what
    padding gives is finite and means nothing.
    """
    return KERNELS[type(sight)](q_BHTd, k_BKSd, v_BKSd, sight, scale, dropout)
