"""Greedy decoding and sampling of many inputs: slots that are filled anew as answers end (continuous batching).

Orca (Yu et al., OSDI 2022) schedules by steps in this way. Shape suffix: R rows, one to a slot.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from rot5.generate.decoder import Caches, Decoder, Reach
from rot5.generate.encoder import pieces
from rot5.generate.graphs import Replays
from rot5.generate.sampling import draw
from rot5.generate.settings import GenerateConfig


class Pace(NamedTuple):
    """How a device likes to be driven."""

    unseen: int
    """Steps between looks at what was written: every look waits for the device."""
    places: int
    """What the looked-at places of the caches are rounded up to: graphs want few sizes."""
    captured: bool
    """Whether steps are captured as graphs and replayed."""


PACES = {"cpu": Pace(1, 1, False), "cuda": Pace(8, 64, True)}
ELSEWHERE = Pace(8, 64, False)

REFILL_FROM = 8
"""Slots are filled once at least one of so many is free: inputs are encoded in company."""

SHRINK_FROM = 4
"""With nothing left to fill them, slots are given up once one of so many is free."""


class Queue:
    """Inputs that wait, answers that grow in slots, and answers that are done."""

    def __init__(
        self,
        decoder: Decoder,
        inputs: Sequence[Sequence[int]],
        start: int,
        ends: Sequence[int],
        config: GenerateConfig,
        progress: Callable[[int], None] | None,
    ):
        self.decoder, self.inputs, self.start, self.ends = decoder, inputs, start, frozenset(ends)
        self.config, self.progress = config, progress
        self.answers: list[list[int]] = [[] for _ in inputs]
        self.waiting = deque(sorted(range(len(inputs)), key=lambda index: -len(inputs[index])))
        slots = min(config.batch_size, len(inputs))
        device = decoder.device
        self.pace = PACES.get(device.type, ELSEWHERE)
        width = len(inputs[self.waiting[0]])
        self.caches = Caches(decoder, slots, 1, config.max_new_tokens, width)
        self.owners: list[int | None] = [None] * slots
        self.written: list[list[int]] = [[] for _ in range(slots)]
        """Tokens of each slot's answer, as far as they were looked at."""
        self.unseen: list[torch.Tensor] = []
        """Tokens of all slots, step by step, that were not."""
        self.positions_R = torch.zeros(slots, dtype=torch.int64, device=device)
        self.newest_R = torch.full((slots,), start, dtype=torch.int64, device=device)
        self.replays = Replays()
        self.done = 0

    def run(self) -> list[list[int]]:
        """Decode everything."""
        while self.done < len(self.inputs):
            self._settle()
            longest = max(len(self.written[slot]) for slot in self._live())
            for _ in range(min(self.pace.unseen, self.config.max_new_tokens - longest)):
                self._step()
            self._look()
        return self.answers

    def _live(self) -> list[int]:
        return [slot for slot, owner in enumerate(self.owners) if owner is not None]

    def _lengths(self) -> list[int]:
        """Of the inputs that are in a slot."""
        return [len(self.inputs[index]) for index in self.owners if index is not None]

    def _place(self, slot: int) -> int:
        """Of the next token of a slot, the last one for a slot that is free."""
        return min(len(self.written[slot]) + len(self.unseen), self.config.max_new_tokens - 1)

    def _settle(self) -> None:
        """Fill slots that are free, or give them up where nothing waits."""
        free = [slot for slot, owner in enumerate(self.owners) if owner is None]
        if self.waiting and len(free) * REFILL_FROM >= len(self.owners):
            self._fill(free[: len(self.waiting)])
        elif not self.waiting and len(free) * SHRINK_FROM >= len(self.owners):
            live = self._live()
            chosen = torch.tensor(live, device=self.decoder.device)
            self.caches.keep(chosen)
            self.replays.clear()
            self.owners, self.written = [self.owners[slot] for slot in live], [self.written[slot] for slot in live]
            self.positions_R, self.newest_R = self.positions_R[chosen], self.newest_R[chosen]
            self._narrow()

    def _narrow(self) -> None:
        """Make the caches as wide as the longest input that is in a slot."""
        width = self._rounded(max(self._lengths()))
        if width < self.caches.width:
            self.caches.narrow(width)
            self.replays.clear()

    def _fill(self, free: list[int]) -> None:
        taken = [self.waiting.popleft() for _ in free]
        for slot, index in zip(free, taken, strict=True):
            self.owners[slot], self.written[slot] = index, []
        self._narrow()
        first = 0
        for piece in pieces([self.inputs[index] for index in taken]):
            slots = free[first : first + len(piece)]
            self.caches.fill(slots, self.decoder.encode(piece), self.decoder)
            first += len(piece)
        where = torch.tensor(free, device=self.decoder.device)
        self.positions_R[where] = 0
        self.newest_R[where] = self.start

    def _reach(self) -> Reach:
        """What the next step looks at; slots without an owner are looked at too, and what they give is dropped."""
        live = self._live()
        lengths = self._lengths()
        places, longest = [self._place(slot) + 1 for slot in live], max(lengths)
        even = len(live) == len(self.owners) and min(places) == max(places) and self.pace.places == 1
        inputs = min(self._rounded(longest), self.caches.width)
        full = len(live) == len(self.owners) and min(lengths) == inputs
        return Reach(min(self._rounded(max(places)), self.caches.places), even, inputs, full)

    def _rounded(self, places: int) -> int:
        return -(-places // self.pace.places) * self.pace.places

    def _step(self) -> None:
        reach = self._reach()
        if self.pace.captured:
            given = self.replays(reach, lambda: self._decoded(reach))
        else:
            given = self._decoded(reach)
        if self.config.do_sample:
            places = [self._place(slot) for slot in range(len(self.owners))]
            given = draw(given, self.config, [owner or 0 for owner in self.owners], places)
        self.newest_R.copy_(given)
        self.unseen.append(self.newest_R.clone())
        self.positions_R.add_(1).clamp_(max=self.config.max_new_tokens - 1)

    def _decoded(self, reach: Reach) -> torch.Tensor:
        """The likeliest token of each row, or logits [R, V] to draw one from."""
        hidden_RD = self.decoder.step(self.newest_R, self.positions_R, self.caches, reach)
        goes_on_R = self.positions_R < self.config.min_new_tokens if self.config.min_new_tokens else None
        if not self.config.do_sample:
            return self.decoder.head.likeliest(hidden_RD, goes_on_R)
        logits_RV = self.decoder.head.logits(hidden_RD)
        if goes_on_R is not None:
            for end in self.ends:
                logits_RV[:, end].masked_fill_(goes_on_R, -torch.inf)
        return logits_RV

    def _look(self) -> None:
        """Read what was written since the last look, and take answers that ended out of their slots."""
        before, columns = self.done, torch.stack(self.unseen, dim=1).tolist()
        self.unseen.clear()
        for slot in self._live():
            end = next((at for at, token in enumerate(columns[slot], start=1) if token in self.ends), None)
            self.written[slot] += columns[slot][:end]
            if end is None and len(self.written[slot]) < self.config.max_new_tokens:
                continue
            index = self.owners[slot]
            assert index is not None
            self.answers[index], self.owners[slot] = self.written[slot], None
            self.done += 1
        if self.progress is not None and self.done > before:
            self.progress(self.done)
