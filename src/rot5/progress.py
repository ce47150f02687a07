"""What a command says while something takes long: a line on standard error if that is a terminal, else nothing."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")


@contextmanager
def shown(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show `title` and the time while the block runs; what the block gets takes how many of `total` are done.

    The line goes when the block ends, and standard output is left alone: it may be a pipe where standard error is none.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    counts = "{task.completed:,.0f}" if total is None else "{task.completed:,.0f}/{task.total:,.0f}"
    ahead = [] if total is None else [TimeRemainingColumn()]
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(counts), TimeElapsedColumn(), *ahead)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)


def counted(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """The items, while `shown` counts those that have been dealt with."""
    with shown(title, total) as tell:
        for number, item in enumerate(items, start=1):
            yield item
            tell(number)
