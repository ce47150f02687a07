"""Examples of a mixture: task, item, template and format of each are pure functions of its number."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import count, islice, zip_longest
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rot5.data.order import permutation, visit
from rot5.data.tasks.categories import Item
from rot5.data.tasks.mixture import FormatsConfig, MixtureConfig, Task
from rot5.data.tasks.templates import fill
from rot5.errors import UserError

PLAIN, SHOTS, RATIONALE = FORMATS = ("plain", "shots", "rationale")
BLOCK = 1024
"""Examples whose tasks are shuffled among each other; and items of a task whose places are found at once."""

SAY_WHY = "\nSay why, then answer."
Fits = Callable[[str, str], bool]
"""Whether an input and its target are short enough."""


class TaskExample(NamedTuple):
    """An instruction, the answer to learn, and all that are right."""

    input: str
    target: str
    answers: tuple[str, ...]
    task: str
    metric: str
    format: str


def shares(tasks: Sequence[Task], cap: int, temperature: float) -> list[float]:
    """Of each task, by its size up to the cap, to the power of 1 / temperature (T5, arXiv:1910.10683, section 3.5.2).

    They add up to 1.
    """
    sizes = [min(len(task.items), cap or len(task.items)) ** (1 / temperature) for task in tasks]
    return [size / sum(sizes) for size in sizes]


def turns(rates: Sequence[float], seed: int) -> Iterator[int]:
    """The task of each example, without end, for tasks with these shares of all.

    Up to the end of any block a task has its share, rounded down or up; the examples of a block are shuffled.
    """
    for block, sizes in enumerate(_sizes(np.asarray(rates))):
        places = permutation(seed, block, np.arange(BLOCK), BLOCK)
        yield from np.searchsorted(np.cumsum(sizes), places, side="right").tolist()


def _sizes(rates: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """int64[tasks], block after block: how many of its examples are of each task.

    What rounding down leaves of a block goes to the tasks whose next example is due first, which keeps all of them
    within one example of their shares (Baruah and others, "Proportionate progress", Algorithmica 15, 1996).
    """
    taken = np.zeros(len(rates), np.int64)
    for behind in count(BLOCK, BLOCK):
        due = rates * behind
        sizes = np.maximum(np.floor(due).astype(np.int64) - taken, 0)
        could = np.flatnonzero(taken + sizes < np.ceil(due))
        first = np.argsort((taken[could] + sizes[could] + 1) / rates[could], kind="stable")
        sizes[could[first[: BLOCK - sizes.sum()]]] += 1
        taken += sizes
        yield sizes


def examples(
    tasks: Sequence[Task],
    config: MixtureConfig,
    number: int,
    seed: int,
    fits: Fits,
) -> Iterator[TaskExample]:
    """So many examples of the tasks, mixed by their shares; those that do not fit are passed over.

    Within a task items come in shuffled order, one after the other, and again from the beginning with other templates.
    Raises UserError for a task of which nothing fits.
    """
    rounds = [_endless(task, config.formats, seed, fits) for task in tasks]
    for place in islice(turns(shares(tasks, config.cap, config.temperature), seed), number):
        yield next(rounds[place])


def first_examples(
    tasks: Sequence[Task], formats: FormatsConfig, most: int, seed: int, fits: Fits
) -> Iterator[TaskExample]:
    """The first `most` examples of every task that fit: what models are judged on.

    Tasks take turns, so that the first few examples of all are of all tasks.
    """
    rounds = [islice(_round(task, _Shuffled(task, seed), 0, formats, seed, fits), most) for task in tasks]
    for turn in zip_longest(*rounds):
        yield from (each for each in turn if each)


def _endless(task: Task, formats: FormatsConfig, seed: int, fits: Fits) -> Iterator[TaskExample]:
    shuffled = _Shuffled(task, seed)
    for number in count():
        found = False
        for example in _round(task, shuffled, number, formats, seed, fits):
            found = True
            yield example
        if not found:
            raise UserError(f"{task.name}: no example fits rows of these lengths: set longer ones, or leave it out")


def _round(
    task: Task, shuffled: "_Shuffled", number: int, formats: FormatsConfig, seed: int, fits: Fits
) -> Iterator[TaskExample]:
    """Every item of a task once, those that do not fit left out."""
    size = len(task.items)
    for place in range(number * size, (number + 1) * size):
        if example := _example(task, shuffled, place, formats, seed, fits):
            yield example


def _example(
    task: Task, shuffled: "_Shuffled", number: int, formats: FormatsConfig, seed: int, fits: Fits
) -> TaskExample | None:
    """Example `number` of a task; none if it does not fit."""
    draw = Random(f"{seed} {task.name} {number}")
    item = shuffled[number]
    asked = draw.choice(task.templates.inputs)
    kind = draw.choices((PLAIN, SHOTS, RATIONALE), (formats.plain, formats.shots, formats.rationale))[0]
    if kind == RATIONALE and not task.templates.rationales:
        kind = PLAIN
    answered = draw.choice(task.templates.rationales if kind == RATIONALE else task.templates.targets)
    text = fill(asked, item).strip() + (SAY_WHY if kind == RATIONALE else "")
    target = fill(answered, item)
    if not fits(text, target):
        return None
    if kind == SHOTS:
        shown, wanted = "", draw.randint(1, formats.most_shots)
        others = (shuffled[number + 1 + ahead] for ahead in range(len(task.items)))
        for other in islice((other for other in others if other is not item), wanted):
            more = f"{shown}{fill(asked, other).strip()}\n{fill(answered, other)}\n\n"
            if not fits(more + text, target):
                break
            shown = more
        text, kind = shown + text, SHOTS if shown else PLAIN
    answers = item["answers"]
    assert isinstance(answers, tuple)
    return TaskExample(text, target, answers, task.name, task.templates.metric, kind)


class _Shuffled:
    """The items of a task in the order of its shuffled rounds, without end.

    Places are found a block at a time, which takes hardly longer than one. Two blocks are kept: shots look ahead of
    their example, over the end of its block.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self._items = task.items
        self._seed = seed + zlib.crc32(task.name.encode())
        self._block = lru_cache(maxsize=2)(self._found)

    def __getitem__(self, number: int) -> Item:
        block, within = divmod(number, BLOCK)
        return self._items[self._block(block)[within]]

    def _found(self, block: int) -> list[int]:
        numbers = np.arange(block * BLOCK, (block + 1) * BLOCK)
        return visit(numbers, len(self._items), self._seed, shuffle=True).tolist()
