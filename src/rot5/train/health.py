"""Whether an update can be trusted: steps without finite numbers are skipped, sudden rises of the loss are told."""

import math
from pathlib import Path

import numpy as np

from rot5.data.batches import Batch
from rot5.errors import UserError
from rot5.folders import unfinished

MEMORY = 0.98
"""Of the running means: about 50 steps."""
STEPS_BEFORE_SPIKES = 50
SPIKE = 8.0
"""Mean distances from the mean at which a loss counts as a spike."""
BATCH = "skipped-batch.npz"


class Health:
    """Watches losses and gradients of a run. `state` is plain JSON, kept in checkpoints."""

    def __init__(self, allowed: int):
        self.allowed = allowed
        self.state = {"skipped": 0, "spikes": 0, "steps": 0, "mean": 0.0, "distance": 0.0}

    @property
    def skipped(self) -> int:
        """Steps that moved no weights."""
        return int(self.state["skipped"])

    def is_finite(self, loss: float, norm: float) -> bool:
        """Whether weights may be moved by this step; one that may not is counted."""
        finite = math.isfinite(loss) and math.isfinite(norm)
        self.state["skipped"] += not finite
        return finite

    def is_spike(self, loss: float) -> bool:
        """Whether a step's loss stands out from those before it. It enters the means cut to what would not."""
        state = self.state
        rise = loss - state["mean"]
        most = SPIKE * state["distance"]
        spike = state["steps"] >= STEPS_BEFORE_SPIKES and rise > most
        if spike:
            state["spikes"] += 1
            rise = most
        state["steps"] += 1
        weight = max(1 - MEMORY, 1 / state["steps"])
        state["distance"] += weight * (abs(rise) - state["distance"]) if state["steps"] > 1 else 0.0
        state["mean"] += weight * rise
        return spike

    def metrics(self) -> dict[str, float]:
        """What has gone wrong so far."""
        return {"health/skipped_steps": self.state["skipped"], "health/spikes": self.state["spikes"]}

    def refuse_more(self, step: int, batch: Batch, folder: Path) -> None:
        """Raise UserError, with the batch left in `folder`, once more steps are skipped than is allowed."""
        if self.skipped <= self.allowed:
            return
        path = folder / BATCH
        with unfinished(path).open("wb") as file:
            np.savez(file, allow_pickle=False, **batch.fields, segment_examples=batch.segment_examples)
        unfinished(path).replace(path)
        raise UserError(
            f"{self.skipped} steps had a loss or gradient that is no finite number, the last of them step "
            f"{step}, whose batch is in {path}: lower train.optimizer.lr and begin anew, or go on with --resume and a "
            f"higher train.max_skipped_steps"
        )
