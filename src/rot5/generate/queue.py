"""Greedy decoding and sampling of many inputs: slots that are filled anew as answers end (continuous batching).

Orca (Yu et al., OSDI 2022) schedules by steps in this way. Shape suffix: R rows, one to a slot.
"""

from collections import deque
from collections.abc import Callable, Sequence

import torch

from rot5.generate.decoder import Caches, Decoder, Reach
from rot5.generate.encoder import pieces
from rot5.generate.sampling import draw
from rot5.generate.settings import GenerateConfig

STEPS_UNSEEN = {"cpu": 1}
"""Steps between looks at what was written: every look waits for the device."""
STEPS_UNSEEN_ELSEWHERE = 8

PLACES = {"cpu": 1}
"""What the looked-at places of the caches are rounded up to: graphs want few sizes."""
PLACES_ELSEWHERE = 64

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
        self.round = PLACES.get(device.type, PLACES_ELSEWHERE)
        self.unseen = STEPS_UNSEEN.get(device.type, STEPS_UNSEEN_ELSEWHERE)
        width = len(inputs[self.waiting[0]])
        self.caches = Caches(decoder, slots, 1, config.max_new_tokens, width)
        self.owners: list[int | None] = [None] * slots
        self.places = [0] * slots
        """Tokens written in each slot."""
        self.positions_R = torch.zeros(slots, dtype=torch.int64, device=device)
        self.newest_R = torch.full((slots,), start, dtype=torch.int64, device=device)
        self.written_RT = torch.zeros(slots, config.max_new_tokens, dtype=torch.int64, device=device)
        self.done = 0

    def run(self) -> list[list[int]]:
        """Decode everything."""
        while self.done < len(self.inputs):
            self._settle()
            steps = min(self.unseen, *(self.config.max_new_tokens - self.places[slot] for slot in self._live()))
            for _ in range(steps):
                self._step()
            self._collect(steps)
        return self.answers

    def _live(self) -> list[int]:
        return [slot for slot, owner in enumerate(self.owners) if owner is not None]

    def _settle(self) -> None:
        """Fill slots that are free, or give them up where nothing waits."""
        free = [slot for slot, owner in enumerate(self.owners) if owner is None]
        if self.waiting and len(free) * REFILL_FROM >= len(self.owners):
            self._fill(free[: len(self.waiting)])
        elif not self.waiting and len(free) * SHRINK_FROM >= len(self.owners):
            live = self._live()
            chosen = torch.tensor(live, device=self.decoder.device)
            self.caches.keep(chosen)
            self.owners, self.places = [self.owners[slot] for slot in live], [self.places[slot] for slot in live]
            self.positions_R, self.newest_R = self.positions_R[chosen], self.newest_R[chosen]
            self.written_RT = self.written_RT[chosen]

    def _fill(self, free: list[int]) -> None:
        taken = [self.waiting.popleft() for _ in free]
        first = 0
        for piece in pieces([self.inputs[index] for index in taken]):
            slots = free[first : first + len(piece)]
            self.caches.fill(slots, self.decoder.encode(piece), self.decoder)
            first += len(piece)
        for slot, index in zip(free, taken, strict=True):
            self.owners[slot], self.places[slot] = index, 0
        where = torch.tensor(free, device=self.decoder.device)
        self.positions_R[where] = 0
        self.newest_R[where] = self.start

    def _reach(self) -> Reach:
        """What the next step looks at; slots without an owner are looked at too, and what they give is dropped."""
        live = self._live()
        lengths = [len(self.inputs[index]) for index in self.owners if index is not None]
        places, longest = max(self.places[slot] for slot in live) + 1, max(lengths)
        even = len(live) == len(self.owners) and min(self.places) == places - 1 and self.round == 1
        inputs = min(-(-longest // self.round) * self.round, self.caches.width)
        full = len(live) == len(self.owners) and min(lengths) == inputs
        return Reach(min(-(-places // self.round) * self.round, self.caches.places), even, inputs, full)

    def _step(self) -> None:
        hidden_RD = self.decoder.step(self.newest_R, self.positions_R, self.caches, self._reach())
        goes_on_R = self.positions_R < self.config.min_new_tokens if self.config.min_new_tokens else None
        if self.config.do_sample:
            logits_RV = self.decoder.head.logits(hidden_RD)
            if goes_on_R is not None:
                logits_RV[:, list(self.ends)] = logits_RV[:, list(self.ends)].masked_fill(
                    goes_on_R[:, None], -torch.inf
                )
            self.newest_R = draw(logits_RV, self.config, [owner or 0 for owner in self.owners], self.places)
        else:
            self.newest_R = self.decoder.head.likeliest(hidden_RD, goes_on_R)
        self.written_RT.scatter_(1, self.positions_R[:, None], self.newest_R[:, None])
        self.positions_R = (self.positions_R + 1).clamp_(max=self.config.max_new_tokens - 1)
        self.places = [min(place + 1, self.config.max_new_tokens) for place in self.places]

    def _collect(self, steps: int) -> None:
        """Take answers that ended within the last steps out of their slots."""
        before = self.done
        written = self.written_RT.tolist()
        for slot in self._live():
            place = self.places[slot]
            new = written[slot][place - steps : place]
            end = next((at for at, token in enumerate(new) if token in self.ends), None)
            if end is None and place < self.config.max_new_tokens:
                continue
            index = self.owners[slot]
            assert index is not None
            self.answers[index] = written[slot][: place if end is None else place - steps + end + 1]
            self.owners[slot] = None
            self.done += 1
        if self.progress is not None and self.done > before:
            self.progress(self.done)
