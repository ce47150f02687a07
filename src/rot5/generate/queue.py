"""Greedy decoding and sampling of many inputs: slots that are filled anew as answers end (continuous batching).

Orca (Yu et al., OSDI 2022) schedules by steps in this way. Shape suffix: R rows, one to a slot.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from rot5.generate.decoder import Caches, Decoder, Reach
from rot5.generate.encoder import pieces
from rot5.generate.sampling import draw
from rot5.generate.settings import GenerateConfig


class Pace(NamedTuple):
    """How a device likes to be driven."""

    unseen: int
    """Steps between looks at what was written: every look waits for the device."""
    places: int
    """What the looked-at places of the caches are rounded up to: graphs want few sizes."""


PACES = {"cpu": Pace(1, 1)}
ELSEWHERE = Pace(8, 64)

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
            self.owners, self.written = [self.owners[slot] for slot in live], [self.written[slot] for slot in live]
            self.positions_R, self.newest_R = self.positions_R[chosen], self.newest_R[chosen]

    def _fill(self, free: list[int]) -> None:
        taken = [self.waiting.popleft() for _ in free]
        first = 0
        for piece in pieces([self.inputs[index] for index in taken]):
            slots = free[first : first + len(piece)]
            self.caches.fill(slots, self.decoder.encode(piece), self.decoder)
            first += len(piece)
        for slot, index in zip(free, taken, strict=True):
            self.owners[slot], self.written[slot] = index, []
        where = torch.tensor(free, device=self.decoder.device)
        self.positions_R[where] = 0
        self.newest_R[where] = self.start

    def _reach(self) -> Reach:
        """What the next step looks at; slots without an owner are looked at too, and what they give is dropped."""
        live = self._live()
        lengths = [len(self.inputs[index]) for index in self.owners if index is not None]
        places, longest = [self._place(slot) + 1 for slot in live], max(lengths)
        even = len(live) == len(self.owners) and min(places) == max(places) and self.pace.places == 1
        inputs = min(self._rounded(longest), self.caches.width)
        full = len(live) == len(self.owners) and min(lengths) == inputs
        return Reach(min(self._rounded(max(places)), self.caches.places), even, inputs, full)

    def _rounded(self, places: int) -> int:
        return -(-places // self.pace.places) * self.pace.places

    def _step(self) -> None:
        hidden_RD = self.decoder.step(self.newest_R, self.positions_R, self.caches, self._reach())
        goes_on_R = self.positions_R < self.config.min_new_tokens if self.config.min_new_tokens else None
        if self.config.do_sample:
            logits_RV = self.decoder.head.logits(hidden_RD)
            if goes_on_R is not None:
                logits_RV[:, list(self.ends)] = logits_RV[:, list(self.ends)].masked_fill(
                    goes_on_R[:, None], -torch.inf
                )
            places = [self._place(slot) for slot in range(len(self.owners))]
            self.newest_R = draw(logits_RV, self.config, [owner or 0 for owner in self.owners], places)
        else:
            self.newest_R = self.decoder.head.likeliest(hidden_RD, goes_on_R)
        self.unseen.append(self.newest_R)
        self.positions_R = (self.positions_R + 1).clamp_(max=self.config.max_new_tokens - 1)

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
