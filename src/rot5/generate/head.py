"""The language-model head in blocks of the vocabulary, whose logits stay in the cache of a core.

Shape suffixes: R rows, D d_model, V vocabulary, C columns of a block, P parts of a block.
"""

import torch

from rot5.generate.matrices import product

COLUMNS = 2048
"""Tokens of a block."""
PART = 64
"""Logits whose highest is found first: many at once are several times as fast as one index at a time."""


class Head:
    """Logits of all tokens, or the likeliest token alone.

    In a lower precision than float32 each block proposes its likeliest token by its own logits, and logits of float32
    decide between the proposals: rounding then matters only within a block.
    """

    def __init__(self, weight_VD: torch.Tensor, precision: str, never: list[int]):
        """`never` are the tokens that `likeliest` passes over where it is told to."""
        self.weight_VD = weight_VD.detach()
        self.exact = precision == "float32"
        self.blocks = [product(block, precision) for block in self.weight_VD.split(COLUMNS)]
        self.never = [[id - first for id in never if first <= id < first + COLUMNS]
                      for first in range(0, len(weight_VD), COLUMNS)]  # fmt: skip

    def logits(self, hidden_RD: torch.Tensor) -> torch.Tensor:
        """float32 [R, V]."""
        return torch.cat([block(hidden_RD).float() for block in self.blocks], dim=1)

    def likeliest(self, hidden_RD: torch.Tensor, ends_not_R: torch.Tensor | None) -> torch.Tensor:
        """The token of the highest logit, the first of equal ones, int64 [R]; `ends_not_R` says which rows go on."""
        values, tokens = [], []
        for number, (block, never) in enumerate(zip(self.blocks, self.never, strict=True)):
            logits_RC = block(hidden_RD)
            if ends_not_R is not None and never:
                for column in never:
                    logits_RC[:, column].masked_fill_(ends_not_R, -torch.inf)
            value_R1, column_R1 = _highest(logits_RC)
            values.append(value_R1)
            tokens.append(column_R1 + number * COLUMNS)
        values_RB, tokens_RB = torch.cat(values, dim=1), torch.cat(tokens, dim=1)
        if not self.exact:
            banned_RB = values_RB == -torch.inf
            proposals_RBD = torch.nn.functional.embedding(tokens_RB, self.weight_VD)
            values_RB = torch.bmm(proposals_RBD, hidden_RD[:, :, None])[:, :, 0].masked_fill_(banned_RB, -torch.inf)
        return tokens_RB.gather(1, values_RB.argmax(dim=1, keepdim=True))[:, 0]


def _highest(logits_RC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The highest logit of each row and its column, the first of equal ones: [R, 1] each."""
    R, C = logits_RC.shape
    if C % PART:
        return logits_RC.max(dim=1, keepdim=True)
    parts_RPC = logits_RC.view(R, C // PART, PART)
    part_R11 = parts_RPC.amax(dim=2).argmax(dim=1)[:, None, None]
    value_R1, column_R1 = parts_RPC.gather(1, part_R11.expand(R, 1, PART))[:, 0].max(dim=1, keepdim=True)
    return value_R1, column_R1 + part_R11[:, :, 0] * PART
