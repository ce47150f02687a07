"""The one training loop: rows in, a run folder out. Pretraining and tuning differ only in what they hand in."""

import hashlib
import math
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from rot5 import ranks, runtime
from rot5.data.batches import Batch, Rows, prefetch
from rot5.stopping import Stopped, asked_to_stop
from rot5.train.checkpoint import CheckpointWriter, load_checkpoint, newest, sweep
from rot5.train.health import BATCH, Health
from rot5.train.losses import Fields, LossFunction, backward_step, host_tensors, to_device
from rot5.train.metrics import Live, MetricsLog
from rot5.train.optimizers import set_rate
from rot5.train.parallel import whole
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
    """Rows with their tensors beside the device, both of which the prefetching thread makes."""

    def __init__(self, source: Rows, device: torch.device):
        self.source = source
        self.device = device

    def rows(self, first: int, count: int, rank: int = 0, world_size: int = 1) -> tuple[Batch, Fields]:
        """The batch of those rows, and its fields as tensors."""
        batch = self.source.rows(first, count, rank, world_size)
        return batch, host_tensors(batch.fields, self.device)


class Trainer:
    """Trains `model` on rows 0, 1, 2, … of `rows` for `steps` updates, evaluating and saving on the way.

    `evaluate()` gives a flat dict of metrics of the fixed validation sample. `observe()` gives metrics of the update
    that was just made, and `after_update(moved)` follows every update: what a model has to do or tell besides its loss.
    `flops(batch)` is the work of an update, in operations of the model's matrix products. `check()` raises UserError
    where the data turns out to be damaged.
    Everything that decides the result is in the settings and the step's number, so that stopping after any checkpoint
    and going on gives the same weights, bit by bit.
    """

    def __init__(
        self,
        *,
        title: str,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: LossFunction,
        unsynced: Callable[[], AbstractContextManager],
        rows: Rows,
        steps: int,
        config: TrainConfig,
        run: RunFolder,
        evaluate: Callable[[], dict[str, float]],
        observe: Callable[[], dict[str, float]],
        after_update: Callable[[bool], None],
        flops: Callable[[Batch], float],
        check: Callable[[], None],
        seed: int,
    ):
        self.title = title
        self.model = model
        self.optimizer = optimizer
        self.compiled = compiles(config.compile)
        self.loss = torch.compile(loss, dynamic=False) if self.compiled else loss
        self.unsynced = unsynced
        self.rows = rows
        self.steps = steps
        self.config = config
        self.run = run
        self.evaluate = evaluate
        self.observe = observe
        self.after_update = after_update
        self.flops = flops
        self.check = check
        self.seed = seed
        self.health = Health(config.max_skipped_steps)
        self.state = TrainState()
        self.device = next(model.parameters()).device
        self._recompiles: int | None = None

    def resume(self) -> Path | None:
        """Take up the newest checkpoint, if there is one. Raises UserError if it is damaged."""
        saved = ranks.on_main(self._newest)
        if saved is None:
            return None
        state = load_checkpoint(saved, self.model, self.optimizer)
        self.rows.resume(state["data"])
        self.state = TrainState(**state["loop"])
        self.health.state |= state.get("health", {})
        (self.run.path / BATCH).unlink(missing_ok=True)
        return saved

    def _newest(self) -> Path | None:
        sweep(self.run.checkpoints)
        return newest(self.run.checkpoints)

    def train(self) -> None:
        """Run to the last step; write metrics, checkpoints and, at the end, the final checkpoint.

        A signal to end is obeyed behind the step under way: its state is saved, and `Stopped` raised.
        """
        self.model.train()
        with (
            closing(MetricsLog(self.run.metrics_file, self.state.step, writes=ranks.is_main())) as self._log,
            closing(self._new_writer()) as self._writer,
            closing(self._batches()) as batches,
            asked_to_stop() as asked,
            Live(self.title, self.steps, self.state.step, shows=ranks.is_main()) as self._live,
        ):
            began = time.perf_counter()
            for batch, fields in batches:
                self._step(batch, fields, began)
                self.check()
                if (signal := ranks.highest(asked())) and self.state.step < self.steps:
                    self._save()
                    self._writer.wait()
                    raise Stopped(signal, f"step {self.state.step} is saved: go on with --resume")
                began = time.perf_counter()
            self._writer.wait()
            if signal := ranks.highest(asked()):
                raise Stopped(signal, "training is over and saved: go on with --resume")

    def _new_writer(self) -> CheckpointWriter:
        sharded = ranks.world_size() > 1 and self.config.parallel == "fsdp"
        return CheckpointWriter(self.run.checkpoints, self.config.keep_checkpoints, sharded=sharded)

    def _batches(self) -> Generator[tuple[Batch, Fields]]:
        source, rows = HostRows(self.rows, self.device), self.config.batch_rows
        place = {"rank": ranks.rank(), "world_size": ranks.world_size()}
        return prefetch(source, self.state.rows, rows, stop=self.steps * rows, **place)

    def update(self, fields: Fields, num_targets: int, lr: float) -> tuple[float, float]:
        """One update of the weights by the fields of a batch, on the device or beside it, unless it is not finite.

        Its loss in nats per target, and the gradient's norm before clipping.
        """
        set_rate(self.optimizer, lr)
        runtime.seed_everything(_key(self.seed, self.state.step, ranks.rank()))
        micro_batch_rows = self.config.micro_batch_rows
        fields = to_device(fields, self.device)
        loss = backward_step(self.loss, fields, micro_batch_rows, num_targets, self.unsynced)
        norm = whole(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip_norm))
        found = torch.stack([ranks.add_up(loss), norm]).tolist()
        if self.health.is_finite(*found):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return found[0], found[1]

    def _step(self, batch: Batch, fields: Fields, began: float) -> None:
        """An update and what is due behind it; `began` is when its batch was asked for."""
        state, config = self.state, self.config
        state.window_wait += time.perf_counter() - began
        lr = config.optimizer.lr * rate(state.step, self.steps, config.schedule)
        num_targets, graphs, skipped = batch.num_targets, self._graphs(), self.health.skipped
        loss, norm = self.update(fields, num_targets, lr)
        self._recompiles = 0 if self._recompiles is None else self._recompiles + self._graphs() - graphs
        state.step += 1
        if self.health.skipped > skipped:
            self._tell_skipped(batch, loss, norm)
        else:
            state.window_loss += loss * num_targets
            state.window_targets += num_targets
            if self.health.is_spike(loss):
                self._live.say(f"{self.title}: step {state.step}: the loss leapt to {loss:.3f}")
        last = state.step == self.steps
        logs = last or state.step % config.log_every == 0
        evaluates = last or (config.evaluate_every and state.step % config.evaluate_every == 0)
        saves = last or state.step % config.checkpoint_every == 0
        seconds = time.perf_counter() - began

        state.rows += config.batch_rows
        state.story_tokens += batch.story_tokens
        state.seconds += seconds
        state.window_story_tokens += batch.story_tokens
        state.window_seconds += seconds
        state.window_flops += self.flops(batch) * ranks.world_size()
        state.window_encoder_fill += batch.encoder_fill
        state.window_decoder_fill += batch.decoder_fill
        state.window_steps += 1

        if logs:
            self._log_window(lr, norm)
        self.after_update(self.health.skipped == skipped)
        if evaluates:
            self._evaluate()
        if saves:
            self._save()

    def _tell_skipped(self, batch: Batch, loss: float, norm: float) -> None:
        state = self.state
        place = {"skip/first_row": state.rows, "skip/rows": self.config.batch_rows}
        self._log.write({**self._now(), **place, "skip/loss": repr(loss), "skip/gradient_norm": repr(norm)})
        self._live.say(f"{self.title}: step {state.step} is skipped: loss {loss}, norm of the gradient {norm}")
        ranks.on_main(lambda: self.health.refuse_more(state.step, batch, self.run.path))

    def _save(self) -> None:
        self._log.sync()
        saved = {
            "loop": asdict(self.state), "data": self.rows.state(self.state.rows), "health": dict(self.health.state)
        }  # fmt: skip
        self._writer.save(self.state.step, self.model, self.optimizer, saved)

    def _now(self) -> dict[str, float]:
        """What every record says."""
        state = self.state
        return {"step": state.step, "seconds": round(state.seconds, 3), "story_tokens": state.story_tokens}

    def _graphs(self) -> int:
        """Graphs compiled so far in this process, evaluation's too."""
        return torch._dynamo.utils.counters["stats"]["unique_graphs"] if self.compiled else 0

    def _log_window(self, lr: float, norm: float) -> None:
        state = self.state
        loss = state.window_loss / state.window_targets if state.window_targets else math.nan
        speed = state.window_story_tokens / state.window_seconds
        self._log.write(
            {
                **self._now(),
                "train/loss": loss,
                "speed/story_tokens_per_second": speed,
                "speed/model_flops_per_second": state.window_flops / state.window_seconds,
                "data/wait_share": state.window_wait / state.window_seconds,
                "data/encoder_fill": state.window_encoder_fill / state.window_steps,
                "data/decoder_fill": state.window_decoder_fill / state.window_steps,
                "optim/lr": lr,
                "optim/gradient_norm": norm,
                **({"compile/recompiles": self._recompiles} if self.compiled else {}),
                **self.health.metrics(),
                **self.observe(),
            }
        )
        left = (self.steps - state.step) * state.window_seconds / state.window_steps
        self._live.update(state.step, loss, speed, left)
        state.window_loss = state.window_seconds = state.window_wait = state.window_flops = 0.0
        state.window_encoder_fill = state.window_decoder_fill = 0.0
        state.window_targets = state.window_story_tokens = state.window_steps = 0

    def _evaluate(self) -> None:
        self.model.eval()
        metrics = self.evaluate()
        self.model.train()
        self._log.write({**self._now(), **metrics})
        self._live.say(
            f"{self.title}: step {self.state.step}  "
            + "  ".join(f"{key} {value:.3f}" for key, value in metrics.items())
        )


def _key(seed: int, step: int, rank: int) -> int:
    """The seed of what a step draws on a rank: dropout and the like."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()) >> 1
