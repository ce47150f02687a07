"""A model that is served: texts in, answers out as they grow, for threads and for event loops."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rot5.errors import UserError
from rot5.generate.answers import Engine, for_the_engine
from rot5.generate.queue import Request
from rot5.generate.settings import GenerateConfig, problems
from rot5.loading import Loaded, load
from rot5.serve.settings import ServerConfig
from rot5.serve.texts import TextStream, byte_ids, whole_text
from rot5.serve.worker import Worker


class Failed(Exception):
    """No answer will come; the message says why, in one sentence."""


class Answer:
    """An answer that grows. Iterating it, in a thread or an event loop, gives pieces of its text as they come.

    Use one way of waiting, from one place, for one answer.
    """

    def __init__(self, served: "Served", request: Request):
        self._served, self._request = served, request
        self._changed = threading.Condition()
        self._failure: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event: asyncio.Event | None = None
        self._only_end = False
        self.cancelled = False
        self.began = time.monotonic()
        self.first_token: float | None = None
        """When the first token was there, by `time.monotonic()`."""

    @property
    def input_tokens(self) -> int:
        """Tokens of the input, the prefix's included."""
        return len(self._request.ids)

    @property
    def new_tokens(self) -> int:
        """Tokens written so far, the end token included."""
        return len(self._request.tokens)

    @property
    def tokens(self) -> list[int]:
        """Ids of what is written so far, the end token included."""
        return list(self._request.tokens)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._request.done or self.cancelled or self._failure is not None

    @property
    def finish(self) -> str:
        """Why it is done: `stop`, `length` or `cancelled`."""
        if self.cancelled:
            return "cancelled"
        ended = self._request.tokens[-1:] and self._request.tokens[-1] in self._served.ends
        return "stop" if ended else "length"

    @property
    def text(self) -> str:
        """The text of what there is so far."""
        return whole_text(self._served.loaded.tokenizer, self._request.tokens)

    def cancel(self) -> None:
        """Give it up: its slot is free, and iterating it ends."""
        if not self.done:
            self.cancelled = True
            self._served.worker.cancel(self._request)
            self._wake()

    def result(self, timeout: float | None = None) -> str:
        """The whole text; of one that was cancelled, what there was. Raises Failed, or TimeoutError when late."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.done, timeout):
                raise TimeoutError
        self._check()
        return self.text

    def __iter__(self) -> Iterator[str]:
        """Pieces of text that together are `result()`. Raises Failed."""
        stream, seen = self._served.stream(), 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda before=seen: self.done or self.new_tokens > before)
            done, seen = self.done, self.new_tokens
            if piece := self._piece(stream, done):
                yield piece
            if done:
                return

    async def __aiter__(self) -> AsyncIterator[str]:
        """As iterating in a thread; no thread waits."""
        stream, event = self._served.stream(), self._listen(only_end=False)
        while True:
            event.clear()
            done = self.done
            if piece := self._piece(stream, done):
                yield piece
            if done:
                return
            await event.wait()

    async def whole(self) -> str:
        """As `result()`, in an event loop."""
        event = self._listen(only_end=True)
        while not self.done:
            event.clear()
            if not self.done:
                await event.wait()
        self._check()
        return self.text

    def tell(self, failure: str | None) -> None:
        """The worker's word, in its thread: there is more, or it failed."""
        if self.first_token is None and self._request.tokens:
            self.first_token = time.monotonic()
        if failure is not None:
            self._failure = failure
        self._wake()

    def _piece(self, stream: TextStream, done: bool) -> str:
        self._check()
        tokens = self._request.tokens
        return stream.rest(tokens) if done else stream.more(tokens)

    def _check(self) -> None:
        if self._failure is not None:
            raise Failed(self._failure)

    def _listen(self, only_end: bool) -> asyncio.Event:
        self._event, self._only_end = asyncio.Event(), only_end
        self._loop = asyncio.get_running_loop()
        return self._event

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
        loop, event = self._loop, self._event
        if loop is not None and event is not None and (self.done or not self._only_end):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(event.set)


class Served:
    """A loaded model, its engine, and the thread that answers."""

    def __init__(self, name: str, loaded: Loaded, config: ServerConfig):
        """Raises UserError for a model that our engine does not run, or not in this precision."""
        ours = for_the_engine(loaded.model)
        if ours is None:
            kind = loaded.model.config.model_type
            raise UserError(f"{name} is a {kind} model that cannot be served: models of rot5, T5, Flan-T5 and mT5 can")
        self.name, self.loaded, self.config = name, loaded, config
        engine = Engine(ours, config.precision)
        self.ends = frozenset(engine.ends)
        self._bytes = byte_ids(loaded.tokenizer)
        self.worker = Worker(engine, config.slots, config.waiting, name)

    @classmethod
    def open(cls, name: str, config: ServerConfig) -> "Served":
        """Load a run folder, a model folder or a name of the hub. Raises UserError as `load` does."""
        return cls(name, load(name), config)

    def info(self) -> dict[str, Any]:
        """What the model is, as plain data."""
        model = self.loaded.model
        return {
            "name": self.name,
            "kind": model.config.model_type,
            "parameters": model.num_parameters(),
            "vocabulary": len(self.loaded.tokenizer),
            "prefix": self.loaded.prefix,
            "precision": self.config.precision,
            "device": str(model.device),
        }

    def stream(self) -> TextStream:
        """What makes text of this model's tokens as they come."""
        return TextStream(self.loaded.tokenizer, self._bytes)

    def ask(self, text: str, settings: GenerateConfig, prefix: str | None = None) -> Answer:
        """Begin to answer a text behind the model's own prefix or another. Raises as `ask_all`."""
        return self.ask_all([text], settings, prefix)[0]

    def ask_all(self, texts: Sequence[str], settings: GenerateConfig, prefix: str | None = None) -> list[Answer]:
        """Begin to answer all of the texts or none, as `rot5 generate` does with the same settings.

        Raises Full when they do not fit in the line, Closed when the server is about to stop, and UserError for
        settings that cannot work or go beyond the limits.
        """
        if found := [*problems(settings), *self._beyond(texts, settings)]:
            raise UserError("; ".join(found))
        loaded = self.loaded if prefix is None else replace(self.loaded, prefix=prefix)
        inputs = loaded.read_inputs(texts)
        for ids in inputs:
            if not 0 < len(ids) <= self.config.max_input_tokens:
                found = f"the input has {len(ids)} tokens: between 1 and {self.config.max_input_tokens} are taken"
                raise UserError(found)
        return self.ask_ids(inputs, settings)

    def ask_ids(self, inputs: Sequence[Sequence[int]], settings: GenerateConfig) -> list[Answer]:
        """Begin to answer token ids as they are, none empty; limits are the caller's. Raises Full and Closed."""
        requests = [Request(ids, settings, number) for number, ids in enumerate(inputs)]
        answers = [Answer(self, request) for request in requests]
        self.worker.submit(requests, [answer.tell for answer in answers])
        return answers

    def close(self, grace: float | None = None) -> bool:
        """Take no more, finish what is under way within the grace, and say whether all was finished."""
        return self.worker.close(self.config.grace_seconds if grace is None else grace)

    def _beyond(self, texts: Sequence[str], settings: GenerateConfig) -> list[str]:
        found, limits = [], self.config
        if not 1 <= len(texts) <= limits.max_texts:
            found.append(f"{len(texts)} texts: between 1 and {limits.max_texts} are taken at once")
        if settings.max_new_tokens > limits.max_new_tokens:
            found.append(f"max_new_tokens {settings.max_new_tokens} is above the limit of {limits.max_new_tokens}")
        if settings.num_beams > 1:
            found.append(f"num_beams {settings.num_beams} is not served: only 1 is")
        return found
