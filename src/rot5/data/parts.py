"""How text is cut into parts, and who works on them."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rot5.errors import nearest

EXECUTORS = ("local", "slurm", "ray")
DUPLICATES = ("keep", "exact", "near")


@dataclass(frozen=True, kw_only=True)
class PartsConfig:
    """Text prepared in parts, by several processes or machines."""

    number: int = 1
    """Parts; each is a pure function of the text, and is prepared once whatever happens to the others."""

    executor: str = "local"
    """Who prepares them: local processes, jobs of a slurm cluster, or ray, on the cluster that its address names."""

    workers: int = 0
    """Parts at the same time; 0 for one a core (local) or as many as there are (slurm and ray)."""

    duplicates: str = "keep"
    """keep, exact (of documents with the same text one stays) or near (MinHash: of documents that share most runs of
    five words one stays)."""

    partition: str = ""
    """Partition of the slurm cluster."""

    time: str = "12:00:00"
    """Longest time of a slurm job, hours:minutes:seconds."""

    memory_gb: int = 4
    """Memory of a part, on slurm and ray."""

    @property
    def wanted(self) -> bool:
        """Whether there is more to do than one process does by itself."""
        return self.number > 1 or self.duplicates != "keep" or self.executor != "local"


def problems(config: PartsConfig) -> list[str]:
    """All that is wrong with the settings."""
    found = []
    for field, known in (("executor", EXECUTORS), ("duplicates", DUPLICATES)):
        value = getattr(config, field)
        if value not in known:
            found.append(f"unknown {field} {value!r} of parts: {nearest(str(value), known)}")
    if not 1 <= config.number <= 99_999:
        found.append(f"the number of parts must be from 1 to 99,999, not {config.number}")
    if config.workers < 0 or config.memory_gb < 1:
        found.append(f"workers {config.workers} and memory_gb {config.memory_gb} of parts must be 0 and 1 or more")
    if config.executor == "slurm" and not config.partition:
        found.append("slurm needs the partition for its jobs: set parts.partition")
    return found


class Part(NamedTuple):
    """Part `number` of `of`. One behind the other, all parts are the whole."""

    number: int
    of: int

    def bounds(self, size: int) -> tuple[int, int]:
        """Where the part begins and ends in a whole of that size."""
        return size * self.number // self.of, size * (self.number + 1) // self.of


WHOLE = Part(0, 1)


class Span(NamedTuple):
    """The bytes of a file from `start` to `stop`."""

    path: Path
    start: int
    stop: int


def spans(paths: Iterable[Path], part: Part) -> Iterator[Span]:
    """What a part has of each file, cut by bytes; files of no bytes are the first part's."""
    if part == WHOLE:  # whatever their sizes: pipes do not tell theirs
        yield from (Span(path, 0, sys.maxsize) for path in paths)
        return
    sized = [(path, path.stat().st_size) for path in paths]
    begin, end = part.bounds(sum(size for _, size in sized))
    for path, size in sized:
        start, stop = max(begin, 0), min(end, size)
        if start < stop or (size == part.number == 0):
            yield Span(path, start, stop)
        begin, end = begin - size, end - size
