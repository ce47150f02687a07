"""Text prepared in parts by datatrove's executors, without its duplicates: here, on a Slurm cluster, or with Ray.

steps/       what is known of duplicates, and who has done what; gone when the corpus is whole
part-00000/  the corpus of a part, and so on; the parts become one by a manifest that names their files
"""

import multiprocessing
import os
import re
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor.base import PipelineExecutor
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WordTokenizer
from loguru import logger
from transformers import PreTrainedTokenizerFast

from rot5.data.manifest import MANIFEST, SETTINGS, merged, read_manifest, write_sealed
from rot5.data.parts import Part, PartsConfig
from rot5.data.preparing import free, lock, noted_progress, prepare
from rot5.data.shards import PROGRESS
from rot5.data.sources import Documents, SourceConfig, licence_of
from rot5.data.tokenizer import load_tokenizer
from rot5.errors import UserError
from rot5.folders import put_in_place, settle, unfinished, write_json

STEPS = "steps"
_BYTES_PER_DUPLICATE = 4
_HASH = HashConfig(hash_fc="sha1")


def prepare_parts(
    source: SourceConfig,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    parts: PartsConfig,
    *,
    settings: dict[str, Any],
    resume: bool,
) -> dict[str, Any] | None:
    """Prepare the parts of a source that are not there yet, and return the manifest of all.

    None if jobs of a cluster are still to do that: called with `resume` after they ended, it makes the corpus of what
    they left. What a part has done stays, whatever happens to it or to others. Raises UserError if a part fails, if
    there are no documents, or as `prepare` does.
    """
    folder = free(folder)
    partial = unfinished(folder)
    logger.disable("datatrove")
    with lock(folder):
        settle(folder)
        if not (resume and noted_progress(folder, settings)):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            tokenizer.save_pretrained(str(partial / "tokenizer"))
            write_json(partial / PROGRESS, {"settings": settings})
        if not ((partial / MANIFEST).is_file() or _done(_stages(source, partial.resolve(), parts), parts.executor)):
            return None
        manifest = _merge(partial, parts, {"source": source.name, SETTINGS: settings})
        put_in_place(folder, [PROGRESS])
    return manifest


def _done(last: PipelineExecutor, name: str) -> bool:
    """Run the stages; whether all is done."""
    try:
        last.run()
    except UserError as error:
        raise UserError(f"{error} (the other parts stay: --resume goes on with them)") from error
    except (FileNotFoundError, ImportError) as error:
        raise UserError(f"{name} is not to be had here: {error}") from error
    return not last.get_incomplete_ranks(skip_completed=True)


def _merge(partial: Path, parts: PartsConfig, origin: dict[str, Any]) -> dict[str, Any]:
    """Make one corpus of the parts, by its manifest, and clear away all else; can be called again if it was killed."""
    names = [_name(number) for number in range(parts.number)]
    if not (partial / MANIFEST).is_file():
        manifest = merged(partial, names) | origin
        if not manifest["documents"]:
            raise UserError(f"no documents in {origin['source']}")
        if parts.duplicates != "keep":
            found = (partial / STEPS / "duplicates").rglob("*")
            size = sum(path.stat().st_size for path in found if path.suffix in (".remove", ".c4_dup"))
            manifest["duplicates_removed"] = size // _BYTES_PER_DUPLICATE
        write_sealed(partial, manifest)
    for name in names:
        (partial / name / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(partial / name / "tokenizer", ignore_errors=True)
    shutil.rmtree(partial / STEPS, ignore_errors=True)
    return read_manifest(partial)


def _name(number: int) -> str:
    return f"part-{number:05d}"


def _stages(source: SourceConfig, partial: Path, parts: PartsConfig) -> PipelineExecutor:
    """The last of the stages, each of which waits for the one before."""
    signatures, pairs, duplicates = (str(partial / STEPS / name) for name in ("signatures", "pairs", "duplicates"))
    read, write = _Read(source), _Write(partial, licence_of(source))
    if parts.duplicates == "exact":
        exact = ExactDedupConfig(content_getter=_text, hash_config=_HASH)
        stages = [
            ("sign", [read, ExactDedupSignature(signatures, exact)], parts.number),
            ("find", [ExactFindDedups(signatures, duplicates, exact)], 1),
            ("write", [read, ExactDedupFilter(duplicates, exact), write], parts.number),
        ]
    elif parts.duplicates == "near":
        near = MinhashConfig(hash_config=_HASH)
        words: Any = _Words()
        stages = [
            ("sign", [read, MinhashDedupSignature(signatures, near, words)], parts.number),
            ("pair", [MinhashDedupBuckets(signatures, pairs, config=near)], near.num_buckets),
            ("find", [MinhashDedupCluster(pairs, duplicates, near)], 1),
            ("write", [read, MinhashDedupFilter(duplicates), write], parts.number),
        ]
    else:
        stages = [("write", [read, write], parts.number)]
    executor = None
    for name, pipeline, tasks in stages:
        executor = _EXECUTORS[parts.executor](pipeline, tasks, parts, partial / STEPS / name, executor)
    assert executor
    return executor


@dataclass(frozen=True)
class _Read:
    """A step: the documents of a part."""

    source: SourceConfig

    def __call__(self, _: object, rank: int, world_size: int) -> Iterator[Document]:
        for number, text in enumerate(Documents(self.source, Part(rank, world_size))):
            yield Document(text=text, id=f"{rank}/{number}")


@dataclass(frozen=True)
class _Write:
    """A step: a part's corpus."""

    folder: Path
    licence: str

    def __call__(self, documents: Iterable[Document], rank: int, world_size: int) -> None:
        prepare(
            (document.text for document in documents),
            load_tokenizer(self.folder / "tokenizer"),
            self.folder / _name(rank),
            source=f"part {rank + 1} of {world_size}",
            licence=self.licence,
            resume=True,
            may_be_empty=True,
        )


def _text(document: Document) -> str:
    return document.text


class _Words(WordTokenizer):
    """Words of any language that has spaces between them; datatrove's own need models of each."""

    def word_tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text)

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError


class _Local(LocalPipelineExecutor):
    """Datatrove's, but its processes end with this one, and one that is killed ends the rest."""

    def run(self) -> None:
        if self.depends:
            self.depends.run()
        ranks = self.get_incomplete_ranks()
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])  # what a process needs is imported once, not by each of every stage
        workers = []
        try:
            for number in range(min(self.workers, len(ranks))):
                told, tell = context.Pipe(duplex=False)
                work = (self, ranks[number :: self.workers], tell)
                workers.append((context.Process(target=_work, args=work, daemon=True), told))
                workers[-1][0].start()
                tell.close()
            self._see_them_end(workers)
        finally:
            for process, _ in workers:
                process.kill()
                process.join()

    def _see_them_end(self, workers: Sequence[tuple[Any, Connection]]) -> None:
        running = {process.sentinel: (process, told) for process, told in workers}
        while running:
            for sentinel in wait(list(running)):
                process, told = running.pop(sentinel)  # type: ignore[call-overload]
                process.join()
                if process.exitcode:
                    raise _fault(told)


def _fault(told: Connection) -> Exception:
    """Why a process of the local executor has ended before its time."""
    try:
        return told.recv()
    except EOFError:
        return UserError("a process that prepared a part was killed")


def _work(executor: PipelineExecutor, ranks: Sequence[int], tell: Connection) -> None:
    """What a process of the local executor does: its parts one by one, telling of a fault of the user's."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives; logs are in the folder)
    try:
        for rank in ranks:
            executor._run_for_rank(rank)
    except UserError as error:
        tell.send(error)
        sys.exit(2)
    except Exception:
        tell.send(RuntimeError(traceback.format_exc()))
        raise


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _local(pipeline: list, tasks: int, parts: PartsConfig, logs: Path, depends: Any) -> PipelineExecutor:
    workers = parts.workers or os.cpu_count() or 1
    return _Local(pipeline, tasks, workers, logging_dir=str(logs), depends=depends)


def _slurm(pipeline: list, tasks: int, parts: PartsConfig, logs: Path, depends: Any) -> PipelineExecutor:
    return SlurmPipelineExecutor(
        pipeline,
        tasks,
        parts.time,
        parts.partition,
        mem_per_cpu_gb=parts.memory_gb,
        workers=parts.workers or -1,
        job_name=f"rot5-{logs.name}",
        qos=None,  # type: ignore[arg-type]
        env_command=f"export PATH={Path(sys.executable).parent}:$PATH",
        logging_dir=str(logs),
        depends=depends,
    )


def _ray(pipeline: list, tasks: int, parts: PartsConfig, logs: Path, depends: Any) -> PipelineExecutor:
    memory = float(parts.memory_gb)
    return RayPipelineExecutor(
        pipeline, tasks, parts.workers or -1, depends, logging_dir=str(logs), mem_per_cpu_gb=memory
    )


_EXECUTORS: dict[str, Callable[..., PipelineExecutor]] = {"local": _local, "slurm": _slurm, "ray": _ray}
