"""The one training loop: packed rows in, a run folder out. Pretraining and tuning differ only in what they hand in."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from rot5.data.batches import Batch, PackedRows, prefetch
from rot5.train.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from rot5.train.losses import Fields, LossFunction, backward_step, host_tensors, to_device
from rot5.train.metrics import Live, MetricsLog
from rot5.train.optimizers import set_rate
from rot5.train.run_folder import RunFolder
from rot5.train.schedules import rate
from rot5.train.settings import TrainConfig


@dataclass
class TrainState:
    """What the loop itself has to remember across a stop. Plain numbers."""

    step: int = 0
    """Updates made."""
    rows: int = 0
    """Packed rows consumed: all that the order of the data depends on."""
    story_tokens: int = 0
    """Raw corpus tokens seen."""
    seconds: float = 0.0
    """Time spent in training steps, the wait for their batches included, evaluation excluded."""
    window_loss: float = 0.0
    """Sum of the losses of targets since the last line of metrics (nats)."""
    window_targets: int = 0
    """Targets since then."""
    window_story_tokens: int = 0
    """Story tokens since then."""
    window_seconds: float = 0.0
    """Training time since then."""
    window_wait: float = 0.0
    """Of that, the time in which a batch was waited for."""
    window_flops: float = 0.0
    """Operations of the model since then, as `flops` counts them."""
    window_encoder_fill: float = 0.0
    """Sum over steps since then of the share of encoder positions that hold a token."""
    window_decoder_fill: float = 0.0
    """The same of decoder positions."""
    window_steps: int = 0
    """Steps since then."""


def compiles(setting: str) -> bool:
    """Whether to compile: as told, or (auto) on a GPU.

    On a CPU compiled code keeps attention under a mask, which costs more than compiling saves.
    """
    return setting == "on" or (setting == "auto" and torch.cuda.is_available())


class HostRows:
    """Packed rows with their tensors beside the device, both of which the prefetching thread makes."""

    def __init__(self, packed_rows: PackedRows, device: torch.device):
        self.packed_rows = packed_rows
        self.device = device

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> tuple[Batch, Fields]:
        """The batch of `PackedRows.rows`, and its fields as tensors."""
        batch = self.packed_rows.rows(first, count, rank, world_size)
        return batch, host_tensors(batch.fields, self.device)


class Trainer:
    """Trains `model` on rows 0, 1, 2, … of `rows` for `steps` updates, evaluating and saving on the way.

    `evaluate()` gives a flat dict of metrics of the fixed validation sample. `observe()` gives metrics of the update
    that was just made, and `after_update()` follows every update: what a model has to do or to tell besides its loss.
    `flops(batch)` is the work of an update, in operations of the model's matrix products. The device is waited for
    where figures are written, saved or scored, and nowhere else.
    Everything that decides the result is in the settings, so that stopping after any checkpoint and going on gives the
    same weights, bit by bit.
    """

    def __init__(
        self,
        *,
        title: str,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: LossFunction,
        rows: PackedRows,
        steps: int,
        config: TrainConfig,
        run: RunFolder,
        evaluate: Callable[[], dict[str, float]],
        observe: Callable[[], dict[str, float]],
        after_update: Callable[[], None],
        flops: Callable[[Batch], float],
    ):
        self.title = title
        self.model = model
        self.optimizer = optimizer
        self.compiled = compiles(config.compile)
        self.loss = torch.compile(loss, dynamic=False) if self.compiled else loss
        self.rows = rows
        self.steps = steps
        self.config = config
        self.run = run
        self.evaluate = evaluate
        self.observe = observe
        self.after_update = after_update
        self.flops = flops
        self.state = TrainState()
        self.device = next(model.parameters()).device
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._recompiles: int | None = None

    def resume(self) -> Path | None:
        """Take up the newest complete checkpoint, if there is one."""
        saved = checkpoints(self.run.checkpoints)
        if not saved:
            return None
        state = load_checkpoint(saved[-1], self.model, self.optimizer)
        self.rows.resume(state["data"])
        self.state = TrainState(**state["loop"])
        self._loss_sum.fill_(self.state.window_loss)
        return saved[-1]

    def train(self) -> None:
        """Run to the last step; write metrics, checkpoints and, at the end, the final checkpoint."""
        self.model.train()
        log = MetricsLog(self.run.metrics_file, self.state.step)
        try:
            with Live(self.title, self.steps, self.state.step) as live:
                batch_rows = self.config.batch_rows
                source = HostRows(self.rows, self.device)
                began = time.perf_counter()
                for batch, fields in prefetch(source, self.state.rows, batch_rows, stop=self.steps * batch_rows):
                    self._step(batch, fields, began, log, live)
                    began = time.perf_counter()
        finally:
            log.close()

    def update(self, fields: Fields, num_targets: int, lr: float) -> tuple[torch.Tensor, torch.Tensor]:
        """One update of the weights by the fields of a batch, on the device or beside it.

        Its loss in nats per target, and the gradient's norm before clipping: on the device, which may still be at work.
        """
        set_rate(self.optimizer, lr)
        micro_batch_rows = self.config.micro_batch_rows
        loss = backward_step(self.loss, to_device(fields, self.device), micro_batch_rows, num_targets)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, norm

    def _step(self, batch: Batch, fields: Fields, began: float, log: MetricsLog, live: Live) -> None:
        """An update and what is due behind it; `began` is when its batch was asked for."""
        state, config = self.state, self.config
        state.window_wait += time.perf_counter() - began
        lr = config.optimizer.lr * rate(state.step, self.steps, config.schedule)
        num_targets, graphs = batch.num_targets, self._graphs()
        loss, norm = self.update(fields, num_targets, lr)
        self._recompiles = 0 if self._recompiles is None else self._recompiles + self._graphs() - graphs
        self._loss_sum += loss.double() * num_targets
        state.step += 1
        last = state.step == self.steps
        logs = last or state.step % config.log_every == 0
        evaluates = last or (config.evaluate_every and state.step % config.evaluate_every == 0)
        saves = last or state.step % config.checkpoint_every == 0
        if logs or evaluates or saves:
            state.window_loss = float(self._loss_sum)
        seconds = time.perf_counter() - began

        state.rows += config.batch_rows
        state.story_tokens += batch.story_tokens
        state.seconds += seconds
        state.window_targets += num_targets
        state.window_story_tokens += batch.story_tokens
        state.window_seconds += seconds
        state.window_flops += self.flops(batch)
        state.window_encoder_fill += batch.encoder_fill
        state.window_decoder_fill += batch.decoder_fill
        state.window_steps += 1

        if logs:
            self._log(log, live, lr, float(norm))
        self.after_update()
        if evaluates:
            self._evaluate(log, live)
        if saves:
            saved = {"loop": asdict(state), "data": self.rows.state(state.rows)}
            save_checkpoint(
                self.run.checkpoints, state.step, self.model, self.optimizer, saved, config.keep_checkpoints
            )

    def _graphs(self) -> int:
        """Graphs compiled so far in this process, evaluation's too."""
        return torch._dynamo.utils.counters["stats"]["unique_graphs"] if self.compiled else 0

    def _log(self, log: MetricsLog, live: Live, lr: float, norm: float) -> None:
        state = self.state
        loss = state.window_loss / state.window_targets
        speed = state.window_story_tokens / state.window_seconds
        log.write(
            {
                "step": state.step,
                "seconds": round(state.seconds, 3),
                "story_tokens": state.story_tokens,
                "train/loss": loss,
                "speed/story_tokens_per_second": speed,
                "speed/model_flops_per_second": state.window_flops / state.window_seconds,
                "data/wait_share": state.window_wait / state.window_seconds,
                "data/encoder_fill": state.window_encoder_fill / state.window_steps,
                "data/decoder_fill": state.window_decoder_fill / state.window_steps,
                "optim/lr": lr,
                "optim/gradient_norm": norm,
                **({"compile/recompiles": self._recompiles} if self.compiled else {}),
                **self.observe(),
            }
        )
        left = (self.steps - state.step) * state.window_seconds / state.window_steps
        live.update(state.step, loss, speed, left)
        self._loss_sum.zero_()
        state.window_loss = state.window_seconds = state.window_wait = state.window_flops = 0.0
        state.window_encoder_fill = state.window_decoder_fill = 0.0
        state.window_targets = state.window_story_tokens = state.window_steps = 0

    def _evaluate(self, log: MetricsLog, live: Live) -> None:
        self.model.eval()
        metrics = self.evaluate()
        self.model.train()
        state = self.state
        log.write(
            {
                "step": state.step,
                "seconds": round(state.seconds, 3),
                "story_tokens": state.story_tokens,
                **metrics,
            }
        )
        live.say(
            f"{self.title}: step {state.step}  " + "  ".join(f"{key} {value:.3f}" for key, value in metrics.items())
        )
