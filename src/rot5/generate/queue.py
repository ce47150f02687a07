"""Greedy decoding and sampling of many inputs: slots that are filled anew as answers end (continuous batching).

Orca (Yu et al., OSDI 2022) schedules by steps in this way. A closed set of inputs and requests that arrive one by one
are decoded by the same queue. Shape suffix: R rows, one to a slot.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch

from rot5.generate.decoder import Caches, Decoder, Reach
from rot5.generate.encoder import pieces
from rot5.generate.graphs import Replays
from rot5.generate.sampling import draw, row_key
from rot5.generate.settings import GenerateConfig


class Pace(NamedTuple):
    """How a device likes to be driven."""

    unseen: int
    """Steps between looks at what was written: every look waits for the device."""
    places: int
    """What the looked-at places of the caches are rounded up to: graphs want few sizes."""
    captured: bool
    """Whether steps are captured as graphs and replayed."""
    slots: int = 1
    """What slots are rounded up to as requests arrive: graphs want few sizes here too."""


PACES = {"cpu": Pace(1, 1, False), "cuda": Pace(8, 64, True, 16)}
ELSEWHERE = Pace(8, 64, False)

REFILL_FROM = 8
"""Slots are filled once at least one of so many is free, or all that waits fits: inputs are encoded in company."""

SHRINK_FROM = 4
"""With nothing left to fill them, slots are given up once one of so many is free."""


class Request:
    """An input, how it is to be answered, and its answer as far as it was looked at."""

    def __init__(self, ids: Sequence[int], settings: GenerateConfig, number: int = 0):
        """`number` tells draws of one seed apart; beams and the size of batches are not a request's to choose."""
        self.ids, self.settings = ids, settings
        self.key = row_key(settings.seed, number) if settings.do_sample else None
        self.tokens: list[int] = []
        self.done = False

    @property
    def remaining(self) -> int:
        """Tokens that may still come."""
        return self.settings.max_new_tokens - len(self.tokens)


class Decoded(NamedTuple):
    """What a step gives: each row's likeliest token, int64 [R], and logits [R, V] to draw one from, if asked for."""

    likeliest: torch.Tensor | None
    logits: torch.Tensor | None


class Queue:
    """Requests that wait, in their order, and answers that grow in slots.

    Caches are as large as the requests in the slots need, and are given up when there is none.
    """

    def __init__(
        self, decoder: Decoder, start: int, ends: Sequence[int], slots: int, encoded_at_once: int | None = None
    ):
        """`slots` is the most answers that grow together; `encoded_at_once` the tokens of inputs that are encoded
        between two steps, unless a single one has more: None for all that there are slots for."""
        self.decoder, self.start, self.ends = decoder, start, frozenset(ends)
        self.slots, self.encoded_at_once = slots, encoded_at_once
        self.pace = PACES.get(decoder.device.type, ELSEWHERE)
        self.waiting: deque[Request] = deque()
        self.owners: list[Request | None] = []
        self.caches: Caches | None = None
        self.unseen: list[torch.Tensor] = []
        """Tokens of all slots, step by step, that were not looked at."""
        self.positions_R, self.newest_R, self.floors_R = self._rows(), self._rows(), self._rows()
        """Places of the newest tokens in their answers, these tokens, and before which place no answer may end."""
        self.replays = Replays()

    def add(self, request: Request) -> None:
        """Let a request wait for a slot. Its input has at least one token."""
        assert request.ids, "an input without tokens"
        self.waiting.append(request)

    def cancel(self, request: Request) -> None:
        """Give up a request, wherever it is; its slot is free at once."""
        if request in self.waiting:
            self.waiting.remove(request)
        self.owners = [None if owner is request else owner for owner in self.owners]
        if not self.busy:
            self._release()

    @property
    def busy(self) -> bool:
        """Whether anything waits or grows."""
        return bool(self.waiting) or any(owner is not None for owner in self.owners)

    @torch.inference_mode()
    def advance(self) -> list[Request]:
        """Fill slots and take one step, or a few where looking waits for the device; the requests with more tokens."""
        assert self.busy
        self._settle()
        for _ in range(min(self.pace.unseen, *(each.remaining for each in self._growing()))):
            self._step()
        grown = self._look()
        if not self.busy:
            self._release()
        return grown

    def _rows(self, count: int = 0) -> torch.Tensor:
        return torch.zeros(count, dtype=torch.int64, device=self.decoder.device)

    def _live(self) -> list[int]:
        return [slot for slot, owner in enumerate(self.owners) if owner is not None]

    def _growing(self) -> list[Request]:
        return [owner for owner in self.owners if owner is not None]

    def _place(self, request: Request) -> int:
        """Of the next token."""
        return min(len(request.tokens) + len(self.unseen), request.settings.max_new_tokens - 1)

    def _settle(self) -> None:
        """Fill slots that are free, or give them up where nothing waits."""
        live = self._live()
        room = self.slots - len(live)
        if self.waiting and (room * REFILL_FROM >= self.slots or room >= len(self.waiting)):
            self._fill(self._next(room))
        elif not self.waiting and len(live) < len(self.owners):
            self._shrink(live)

    def _next(self, room: int) -> list[Request]:
        """Take out of the line what is encoded now, the longest first."""
        taken, longest = [], 0
        while self.waiting and len(taken) < room:
            longest = max(longest, len(self.waiting[0].ids))
            if taken and self.encoded_at_once and longest * (len(taken) + 1) > self.encoded_at_once:
                break
            taken.append(self.waiting.popleft())
        return sorted(taken, key=lambda request: -len(request.ids))

    def _shrink(self, live: list[int]) -> None:
        """Give up free slots, once they are many."""
        free = [slot for slot, owner in enumerate(self.owners) if owner is None]
        kept = live + free[: self._rounded_slots(len(live)) - len(live)]
        if (len(self.owners) - len(kept)) * SHRINK_FROM < len(self.owners):
            return
        chosen = torch.tensor(kept, device=self.decoder.device)
        assert self.caches is not None
        self.caches.keep(chosen)
        self.replays.clear()
        self.owners = [self.owners[slot] for slot in kept]
        self.positions_R, self.newest_R = self.positions_R[chosen], self.newest_R[chosen]
        self.floors_R = self.floors_R[chosen]
        self._narrow()

    def _narrow(self) -> None:
        """Make the caches as wide as the longest input that is in a slot."""
        assert self.caches is not None
        width = self._rounded(max(len(each.ids) for each in self._growing()))
        if width < self.caches.width:
            self.caches.narrow(width)
            self.replays.clear()

    def _fill(self, taken: list[Request]) -> None:
        free = self._make_room(taken)
        assert self.caches is not None
        for slot, request in zip(free, taken, strict=True):
            self.owners[slot] = request
        self._narrow()
        first = 0
        for piece in pieces([request.ids for request in taken]):
            slots = free[first : first + len(piece)]
            self.caches.fill(slots, self.decoder.encode(piece), self.decoder)
            first += len(piece)
        where = torch.tensor(free, device=self.decoder.device)
        self.positions_R[where] = 0
        self.newest_R[where] = self.start
        self.floors_R[where] = torch.tensor([each.settings.min_new_tokens for each in taken], device=where.device)

    def _make_room(self, taken: list[Request]) -> list[int]:
        """Free slots for requests, in caches that grow where these need more than there is."""
        count = len(self.owners)
        free = [slot for slot, owner in enumerate(self.owners) if owner is None][: len(taken)]
        added = 0
        if len(free) < len(taken):
            needed = count + len(taken) - len(free)
            added = min(self.slots, self._rounded_slots(needed)) - count
            free += range(count, needed)
        width = self._rounded(len(taken[0].ids))
        places = max(request.settings.max_new_tokens for request in taken)
        if self.caches is None:
            self.caches = Caches(self.decoder, added, 1, places, width)
        elif added or width > self.caches.width or places > self.caches.places:
            larger = count + added, max(places, self.caches.places), max(width, self.caches.width)
            self.caches = self.caches.grown(*larger, self.decoder)
            self.replays.clear()
        self.owners += [None] * added
        if added:
            self.positions_R = torch.cat((self.positions_R, self._rows(added)))
            self.newest_R = torch.cat((self.newest_R, self._rows(added)))
            self.floors_R = torch.cat((self.floors_R, self._rows(added)))
        return free

    def _release(self) -> None:
        """Keep nothing."""
        self.caches, self.owners = None, []
        self.positions_R, self.newest_R, self.floors_R = self._rows(), self._rows(), self._rows()
        self.replays.clear()

    def _reach(self, caches: Caches) -> Reach:
        """What the next step looks at; slots without an owner are looked at too, and what they give is dropped."""
        growing = self._growing()
        lengths = [len(each.ids) for each in growing]
        places = [self._place(each) + 1 for each in growing]
        whole = len(growing) == len(self.owners)
        even = whole and min(places) == max(places) and self.pace.places == 1
        inputs = min(self._rounded(max(lengths)), caches.width)
        return Reach(min(self._rounded(max(places)), caches.places), even, inputs, whole and min(lengths) == inputs)

    def _rounded(self, places: int) -> int:
        return -(-places // self.pace.places) * self.pace.places

    def _rounded_slots(self, slots: int) -> int:
        return -(-slots // self.pace.slots) * self.pace.slots

    def _step(self) -> None:
        assert self.caches is not None
        caches, growing = self.caches, self._growing()
        reach = self._reach(caches)
        drawn = [slot for slot in self._live() if self.owners[slot].settings.do_sample]  # type: ignore[union-attr]
        floored = any(each.settings.min_new_tokens for each in growing)
        kind = (len(drawn) < len(growing), bool(drawn), floored)
        given = self._replayed((reach, *kind), lambda: self._decoded(caches, reach, *kind))
        if given.likeliest is not None:
            self.newest_R.copy_(given.likeliest)
        if given.logits is not None:
            self._draw(given.logits, drawn)
        self.unseen.append(self.newest_R.clone())
        self.positions_R.add_(1).clamp_(max=caches.places - 1)

    def _replayed(self, kind: Hashable, step: Callable[[], Decoded]) -> Decoded:
        return self.replays(kind, step) if self.pace.captured else step()

    def _decoded(self, caches: Caches, reach: Reach, greedy: bool, drawn: bool, floored: bool) -> Decoded:
        hidden_RD = self.decoder.step(self.newest_R, self.positions_R, caches, reach)
        goes_on_R = self.positions_R < self.floors_R if floored else None
        likeliest_R = self.decoder.head.likeliest(hidden_RD, goes_on_R) if greedy else None
        if not drawn:
            return Decoded(likeliest_R, None)
        logits_RV = self.decoder.head.logits(hidden_RD)
        if goes_on_R is not None:
            for end in self.ends:
                logits_RV[:, end].masked_fill_(goes_on_R, -torch.inf)
        return Decoded(likeliest_R, logits_RV)

    def _draw(self, logits_RV: torch.Tensor, slots: list[int]) -> None:
        """Put drawn tokens in place of the newest ones of some slots."""
        where = torch.tensor(slots, device=logits_RV.device)
        requests = [self.owners[slot] for slot in slots]
        if len(slots) < len(self.owners):
            logits_RV = logits_RV[where]
        settings = [each.settings for each in requests]  # type: ignore[union-attr]
        keys = [each.key for each in requests]  # type: ignore[union-attr]
        self.newest_R[where] = draw(logits_RV, settings, keys, [self._place(each) for each in requests])  # type: ignore[arg-type]

    def _look(self) -> list[Request]:
        """Read what was written since the last look, and take answers that ended out of their slots."""
        columns, grown = torch.stack(self.unseen, dim=1).tolist(), []
        self.unseen.clear()
        for slot, request in enumerate(self.owners):
            if request is None:
                continue
            new = columns[slot][: request.remaining]
            end = next((at for at, token in enumerate(new, start=1) if token in self.ends), None)
            request.tokens += new[:end]
            if end is not None or not request.remaining:
                request.done, self.owners[slot] = True, None
            grown.append(request)
        return grown


def decode(
    decoder: Decoder,
    inputs: Sequence[Sequence[int]],
    start: int,
    ends: Sequence[int],
    config: GenerateConfig,
    progress: Callable[[int], None] | None,
) -> list[list[int]]:
    """The answer to each of a closed set of inputs, which go into slots longest first."""
    queue, done = Queue(decoder, start, ends, min(config.batch_size, len(inputs))), 0
    requests = [Request(ids, config, number) for number, ids in enumerate(inputs)]
    for request in sorted(requests, key=lambda request: -len(request.ids)):
        queue.add(request)
    while queue.busy:
        ended = sum(request.done for request in queue.advance())
        done += ended
        if progress is not None and ended:
            progress(done)
    return [request.tokens for request in requests]
