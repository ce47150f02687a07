"""Attention inside documents: packed rows are taken apart, documents of like length are attended together.

On a CPU, attention over masked rows costs more than all matrix products of a small model; this does no work across
documents. Shape suffixes: B rows, T or S positions of a row, C cells (all documents of all groups, padded in their
group), N documents of a group, R rows of a regrouping, X features of a row, H heads, K key-value heads, G query heads
per key-value head, d head width.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from rot5.model.scene import Scene

DOCUMENTS_OF_A_GROUP = 4
"""About as many of like length are attended together: fewer waste less on padding and start more kernels."""

MOST_GROUPS = 16
"""With more documents, more of them share a group."""

LENGTH_MULTIPLE = 16
"""Padded lengths are multiples of this, so that kernels meet few shapes."""


class Regrouping(NamedTuple):
    """How the rows of a stream (flat, B x T, or B x T x K) become cells and back. Padding of either maps to nothing."""

    cell_row: torch.Tensor
    """Row of each cell."""
    row_cell: torch.Tensor
    """Cell of each row."""
    empty_cells: torch.Tensor
    """Cells that hold no token."""
    empty_rows: torch.Tensor
    """Rows that hold no token."""


class Group(NamedTuple):
    """Documents attended together: how many, padded to which lengths, and what is added to each score.

    The mask is [N, 1 or H, 1 or Q, S]: the lowest number where a query may not look, 0 or the bias elsewhere.
    """

    documents: int
    queries: int
    keys: int
    mask_NHQS: torch.Tensor

    def mask_of(self, K: int) -> torch.Tensor:
        """The mask as [N, 1 or K, 1 or Q, 1 or G, S]."""
        N, H, Q, S = self.mask_NHQS.shape
        if H == 1:
            return self.mask_NHQS.view(N, 1, Q, 1, S)
        return self.mask_NHQS.view(N, K, H // K, Q, S).transpose(2, 3)


@dataclass
class Documents:
    """What one attention of a packed batch needs to know; made once and used by every layer."""

    queries: Regrouping
    keys: Regrouping
    groups: list[Group]
    _by_heads: dict[int, tuple[Regrouping, Regrouping]] = field(default_factory=dict)

    def by_heads(self, K: int) -> tuple[Regrouping, Regrouping]:
        """Regroupings of queries and keys whose rows are one per position and key-value head.

        Cells lie as [N, K, Q] of one group after the other: one gather takes documents apart and parts their heads.
        """
        if K not in self._by_heads:
            self._by_heads[K] = (
                _parted(self.queries, [(group.documents, group.queries) for group in self.groups], K),
                _parted(self.keys, [(group.documents, group.keys) for group in self.groups], K),
            )
        return self._by_heads[K]


def _parted(plan: Regrouping, sizes: list[tuple[int, int]], K: int) -> Regrouping:
    """A regrouping of positions as one of positions times K heads."""
    heads = torch.arange(K, device=plan.cell_row.device)
    cells_CK, before = [], 0
    for documents, length in sizes:
        cells_NK = before + torch.arange(documents * K, device=heads.device).view(documents, 1, K) * length
        places = torch.arange(length, device=heads.device)[:, None]
        cells_CK.append((cells_NK + places).flatten(0, 1))
        before += documents * K * length
    cell_CK = torch.cat(cells_CK)
    cell_row = torch.empty(cell_CK.numel(), dtype=torch.long, device=heads.device)
    cell_row[cell_CK] = plan.cell_row[:, None] * K + heads
    return Regrouping(
        cell_row,
        cell_CK[plan.row_cell].flatten(),
        cell_CK[plan.empty_cells].flatten(),
        (plan.empty_rows[:, None] * K + heads).flatten(),
    )


class _Runs(NamedTuple):
    starts: torch.Tensor
    lengths: torch.Tensor
    names_2N: torch.Tensor
    """Row and segment of each document."""


def _runs(segments_BT: torch.Tensor) -> _Runs:
    """Flat start and length of each document, in order. Segments are contiguous in their row; 0 is padding."""
    B, T = segments_BT.shape
    begins_BT = torch.ones_like(segments_BT, dtype=torch.bool)
    begins_BT[:, 1:] = segments_BT[:, 1:] != segments_BT[:, :-1]
    starts = begins_BT.flatten().nonzero()[:, 0]
    ends = torch.cat((starts[1:], starts.new_tensor([B * T])))
    segments = segments_BT.flatten()[starts]
    real, names_2N = segments != 0, torch.stack((starts // T, segments))
    return _Runs(starts[real], (ends - starts)[real], names_2N[:, real])


def _padded(lengths: torch.Tensor) -> int:
    return -(-int(lengths.max()) // LENGTH_MULTIPLE) * LENGTH_MULTIPLE


def _regrouping(runs: _Runs, parts: list[torch.Tensor], segments_BT: torch.Tensor) -> Regrouping:
    positions, real = [runs.starts[:0]], [runs.starts[:0].bool()]
    for part in parts:
        places = torch.arange(_padded(runs.lengths[part]), device=segments_BT.device)
        positions.append((runs.starts[part, None] + places).flatten())
        real.append((places < runs.lengths[part, None]).flatten())
    cell_real = torch.cat(real)
    cell_position = torch.cat(positions).masked_fill(~cell_real, 0)
    position_cell = torch.zeros(segments_BT.numel(), dtype=torch.long, device=segments_BT.device)
    position_cell[cell_position[cell_real]] = cell_real.nonzero()[:, 0]
    return Regrouping(
        cell_position, position_cell, (~cell_real).nonzero()[:, 0], (segments_BT.flatten() == 0).nonzero()[:, 0]
    )


def _cell_positions(runs: _Runs, part: torch.Tensor, size: int, positions_BT: torch.Tensor) -> torch.Tensor:
    """Position within its document of each cell of a group [N, size]; cells without a token take any."""
    places = runs.starts[part, None] + torch.arange(size, device=part.device)
    return positions_BT.flatten()[places.clamp(max=positions_BT.numel() - 1)]


def group_documents(scene: Scene) -> Documents:
    """Plan the attention of each document's queries to the keys of the same row and segment.

    Padding sees nothing and its output is 0. Raises ValueError for a document without queries or without keys.
    """
    assert scene.query_segments_BT is not None and scene.key_segments_BS is not None, "rows without segments"
    queries, keys = _runs(scene.query_segments_BT), _runs(scene.key_segments_BS)
    if not torch.equal(queries.names_2N, keys.names_2N):
        raise ValueError("packed rows: every segment of a row needs tokens in the encoder and in the decoder")
    order = torch.argsort(queries.lengths + keys.lengths, stable=True)
    count = min(MOST_GROUPS, -(-len(order) // DOCUMENTS_OF_A_GROUP))
    parts = list(order.tensor_split(count)) if count else []
    groups = []
    for part in parts:
        Q, S = _padded(queries.lengths[part]), _padded(keys.lengths[part])
        key_places = torch.arange(S, device=order.device)
        visible_N1QS = (key_places < keys.lengths[part, None])[:, None, None, :]
        if scene.causal:
            visible_N1QS = visible_N1QS & (key_places <= torch.arange(Q, device=order.device)[:, None])
        base = torch.zeros((), dtype=scene.dtype, device=order.device)
        if scene.bias is not None:
            base = scene.bias(
                _cell_positions(queries, part, Q, scene.query_positions_BT),
                _cell_positions(keys, part, S, scene.key_positions_BS),
            ).to(scene.dtype)
        mask_NHQS = torch.where(visible_N1QS, base, torch.finfo(scene.dtype).min)
        groups.append(Group(len(part), Q, S, mask_NHQS))
    return Documents(
        _regrouping(queries, parts, scene.query_segments_BT), _regrouping(keys, parts, scene.key_segments_BS), groups
    )


class _Gather(torch.autograd.Function):
    """Rows by a one-to-one index, holes as zeros; the gradient gathers back by the inverse index, adding nothing up."""

    @staticmethod
    def forward(ctx, x, index, inverse, holes, inverse_holes):
        ctx.save_for_backward(inverse, inverse_holes)
        return x.index_select(0, index).index_fill_(0, holes, 0)

    @staticmethod
    def backward(ctx, *output_gradients):
        inverse, inverse_holes = ctx.saved_tensors
        return output_gradients[0].index_select(0, inverse).index_fill_(0, inverse_holes, 0), None, None, None, None


def _regrouped(x_RX: torch.Tensor, plan: Regrouping) -> torch.Tensor:
    """Rows [R, X] as cells [C, X]."""
    return _Gather.apply(x_RX, plan.cell_row, plan.row_cell, plan.empty_cells, plan.empty_rows)  # type: ignore[return-value]


def _put_back(x_CX: torch.Tensor, plan: Regrouping) -> torch.Tensor:
    """Cells [C, X] as rows [R, X]."""
    return _Gather.apply(x_CX, plan.row_cell, plan.cell_row, plan.empty_rows, plan.empty_cells)  # type: ignore[return-value]


def attend_in_documents(
    q_BHTd: torch.Tensor, k_BKSd: torch.Tensor, v_BKSd: torch.Tensor, documents: Documents, scale: float, dropout: float
) -> tuple[torch.Tensor, None]:
    """Attention [B, H, T, d], equal to the masked one where there are tokens and 0 elsewhere."""
    B, H, T, d = q_BHTd.shape
    if not documents.groups:
        return torch.zeros_like(q_BHTd), None
    K = k_BKSd.shape[1]
    G = H // K
    query_plan, key_plan = documents.by_heads(K)
    queries = _regrouped((q_BHTd * scale).transpose(1, 2).reshape(B * T * K, G * d), query_plan)
    keys = _regrouped(k_BKSd.transpose(1, 2).reshape(-1, d), key_plan)
    values = _regrouped(v_BKSd.transpose(1, 2).reshape(-1, d), key_plan)
    query_sizes = [group.documents * K * group.queries for group in documents.groups]
    key_sizes = [group.documents * K * group.keys for group in documents.groups]
    mixed = []
    for group, q, k, v in zip(
        documents.groups, queries.split(query_sizes), keys.split(key_sizes), values.split(key_sizes), strict=True
    ):
        N, Q, S = group.documents, group.queries, group.keys
        k, v = k.view(N * K, S, d), v.view(N * K, S, d)
        scores = torch.bmm(q.view(N * K, Q * G, d), k.transpose(1, 2)).view(N, K, Q, G, S)
        weights = scores.add_(group.mask_of(K).to(q.dtype)).softmax(dim=-1)
        weights = torch.nn.functional.dropout(weights, dropout).to(v.dtype)
        mixed.append(torch.bmm(weights.view(N * K, Q * G, S), v).view(-1, G * d))
    return _put_back(torch.cat(mixed), query_plan).view(B, T, H, d).transpose(1, 2), None
