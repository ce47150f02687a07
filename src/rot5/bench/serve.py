"""`rot5 serve` under load: its pace beside one request at a time, memory, overload, its end, and strangers."""

import asyncio
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rot5.bench.ceilings import Ceilings
from rot5.bench.figures import Figures
from rot5.bench.serve_hostile import attack
from rot5.bench.serve_load import Connection, Load
from rot5.config import BenchConfig
from rot5.data import sources
from rot5.errors import UserError
from rot5.report.tables import Column, Table

STORIES = 64
"""Texts that are summarized."""

ALONE_MINUTES = 1.0
"""Of one request at a time, or the share of one minute that the load takes."""

TENTH = 0.1
"""Of the load: memory is its median over the second of these, when the server is warm, and over the last."""

LOOKS_APART = 1.0
"""Seconds between two looks at memory."""

OVERLOAD_SECONDS = 15.0
CROWD = 4
"""Clients at overload for each place, at work or waiting."""

HOSTILE = 1000

ABOUT = (
    "The server is a process of its own, its clients are another on the same machine; each client asks for a summary "
    "of a story, waits for it, and asks for the next; one request of four is a stream. A request is right if its text "
    "is the one that the server writes without company. Overload: clients ask again at once, whatever they are told. "
    "Stop: SIGTERM while clients ask; accepted are requests that were sent half a second before. Strangers: requests "
    "that are huge, malformed, of wrong types, slow or half-closed."
)
LOAD_COLUMNS = (
    Column("clients", "Clients", digits=0),
    Column("requests_per_second", "Requests/s", digits=2),
    Column("tokens_per_second", "New\ntokens/s", digits=0),
    Column("p50", "Median\nlatency, s", digits=2),
    Column("p95", "95 %\nwithin, s", digits=2),
    Column("first", "First token\nof a stream, s", digits=2),
    Column("asked", "Asked", digits=0),
    Column("answered", "Answered", digits=0),
    Column("right", "Right", digits=0),
)
CHECK_COLUMNS = (Column("what", "What", text=True), Column("value", "Found", text=True))


def measure(config: BenchConfig, ceilings: Ceilings) -> Figures:
    """Load a server, overload it, stop it, and let strangers at another."""
    if not config.model:
        raise UserError("bench serve needs a model: name a run with --model")
    if not config.minutes > 0 or config.clients < 1:
        raise UserError("minutes must be above 0 and clients at least 1")
    stories = sources.Documents(sources.SourceConfig(name="storyworld", limit=STORIES, split="held_out"))
    texts = list(islice(stories, STORIES))
    return asyncio.run(_measure(config, texts))


async def _measure(config: BenchConfig, texts: Sequence[str]) -> Figures:
    with _server(config) as (process, url):
        expected = await _expected(url, texts)
        alone = await _loaded(url, texts, expected, 1, 60 * min(ALONE_MINUTES, config.minutes))
        memory: list[float] = []
        watching = asyncio.create_task(_watch(process.pid, memory))
        many = await _loaded(url, texts, expected, config.clients, 60 * config.minutes)
        watching.cancel()
        overload = await _overloaded(url, texts, expected, 2 * CROWD * config.clients)
        behind_overload = _resident(process.pid)
        stopped = await _stopped(url, texts, expected, config.clients, process)
    with _server(config) as (process, url):
        before = _resident(process.pid)
        said = await attack(url, HOSTILE)
        behind = await _loaded(url, texts, expected, 8, 10.0)
        strangers = {"said": dict(said), "right": behind["right"], "asked": behind["asked"]}
        strangers["growth"] = _resident(process.pid) / before - 1
    tenth = max(1, round(TENTH * len(memory)))
    warm, last = statistics.median(memory[tenth : 2 * tenth]), statistics.median(memory[-tenth:])
    growth = last / warm - 1
    ratio = many["tokens_per_second"] / alone["tokens_per_second"]
    checks = [
        ("New tokens/s of all clients to those of one", f"{ratio:.2f}"),
        ("Memory when warm, at the load's end, behind overload, MiB",
         ", ".join(f"{each / 2**20:,.0f}" for each in (warm, last, behind_overload))),
        ("Growth of memory under load", f"{growth:.1%}"),
        ("Overload: clients, asked, answered, refused with 429",
         "{clients}, {asked}, {answered}, {refused}".format(**overload)),
        ("Overload: refusals with Retry-After, other outcomes", "{told}, {other}".format(**overload)),
        ("Seconds from overload to an answer in the usual time", f"{overload['recovery']:.1f}"),
        ("Stop: accepted, answered, exit code", "{accepted}, {answered}, {code}".format(**stopped)),
        (f"{HOSTILE:,} strangers: answered with", ", ".join(f"{key} {n}" for key, n in sorted(said.items()))),
        ("Behind them: asked, right", "{asked}, {right}".format(**strangers)),
    ]  # fmt: skip
    rows = [{"what": what, "value": value} for what, value in checks]
    title = f"{Path(config.model).name}, {config.minutes:g} minutes"
    facts = {"alone": alone, "many": many, "ratio": ratio}
    facts |= {"memory": memory, "behind_overload": behind_overload, "growth": growth}
    facts |= {"overload": overload, "stopped": stopped, "strangers": strangers}
    tables = [Table(title, [alone, many], LOAD_COLUMNS), Table("Limits", rows, CHECK_COLUMNS)]
    return Figures("Serving", ABOUT, tables, facts=facts)


@contextlib.contextmanager
def _server(config: BenchConfig) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server in a process of its own, and its address; there are as many places to wait as clients."""
    words = [sys.executable, "-m", "rot5.cli", "serve", config.model, "--port", "0", "--slots", f"{config.clients}"]
    words += ["--waiting", f"{config.clients}", "--body_seconds", "5"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("serving at "):
                yield process, line.split()[-1]
                return
        raise UserError(f"the server of {config.model} did not start: its last words stand above")
    finally:
        process.kill()
        process.wait()


async def _expected(url: str, texts: Sequence[str]) -> dict[str, str]:
    """Summaries that are written without company."""
    connection, found = Connection(url), {}
    for text in texts:
        reply = await connection.post("/summarize", {"text": text})
        assert reply.status == 200, reply.body
        found[text] = json.loads(reply.body)["text"]
    connection.close()
    return found


async def _watch(pid: int, memory: list[float]) -> None:
    """Note the resident memory of a process, in bytes, every second until cancelled."""
    while True:
        memory.append(_resident(pid))
        await asyncio.sleep(LOOKS_APART)


async def _loaded(
    url: str, texts: Sequence[str], expected: Mapping[str, str], clients: int, seconds: float
) -> dict[str, Any]:
    """Figures of clients that ask for some time."""
    load, began = Load(url, texts, expected), time.monotonic()
    until = began + seconds
    await load.run(clients, lambda: time.monotonic() < until)
    took = time.monotonic() - began
    good = [each for each in load.outcomes if each.status == 200]
    latencies = sorted(each.seconds for each in good)
    return {
        "clients": clients,
        "requests_per_second": len(good) / took,
        "tokens_per_second": sum(each.tokens for each in good) / took,
        "p50": _share(latencies, 0.5),
        "p95": _share(latencies, 0.95),
        "first": statistics.median([each.first for each in good if each.streamed] or [0.0]),
        "asked": len(load.outcomes),
        "answered": len(good),
        "right": sum(each.right for each in good),
    }


def _share(ascending: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))] if ascending else float("nan")


async def _overloaded(url: str, texts: Sequence[str], expected: Mapping[str, str], clients: int) -> dict[str, Any]:
    load, until = Load(url, texts, expected), time.monotonic() + OVERLOAD_SECONDS
    usual = await load.ask(Connection(url), texts[0])
    await load.run(clients, lambda: time.monotonic() < until, obedient=False)
    ended = time.monotonic()
    while True:
        again = await load.ask(Connection(url), texts[0])
        if again.status == 200 and again.seconds < 2 * usual.seconds + 0.1:
            break
    refused = [each for each in load.outcomes if each.status == 429]
    return {
        "clients": clients,
        "asked": len(load.outcomes),
        "answered": sum(each.status == 200 for each in load.outcomes),
        "refused": len(refused),
        "told": sum(bool(each.retry_after) for each in refused),
        "other": sum(each.status not in (200, 429) for each in load.outcomes),
        "recovery": time.monotonic() - ended,
    }


async def _stopped(
    url: str, texts: Sequence[str], expected: Mapping[str, str], clients: int, process: subprocess.Popen
) -> dict[str, Any]:
    """SIGTERM while clients ask."""
    load, sent = Load(url, texts, expected), [0.0]

    async def stop() -> None:
        await asyncio.sleep(5.0)
        process.send_signal(signal.SIGTERM)
        sent[0] = time.monotonic()

    stopping = asyncio.create_task(stop())
    await load.run(clients, lambda: not sent[0] or process.poll() is None)
    await stopping
    accepted = [each for each in load.outcomes if each.began < sent[0] - 0.5]
    answered = [each for each in accepted if each.status == 200 and each.right]
    code = await asyncio.to_thread(process.wait, 60)
    return {"accepted": len(accepted), "answered": len(answered), "code": code, "seconds": time.monotonic() - sent[0]}


def _resident(pid: int) -> float:
    """Resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))
