"""The server's routes: texts in, answers out, whole or as they grow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from rot5 import __version__
from rot5.errors import UserError, nearest
from rot5.serve.guard import Guard, Observed
from rot5.serve.metrics import CONTENT_TYPE, Metrics
from rot5.serve.models import Answer, Failed, Served
from rot5.serve.protocol import Ask, Refusal, choice, completion, error_body, event, read_ask, read_completion
from rot5.serve.settings import LIMITS, ServerConfig
from rot5.serve.worker import Closed, Full

LONG = 1 << 14
"""Characters from which texts are read by the tokenizer in another thread, lest all others wait."""

EVENTS = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Headers by which nothing on the way keeps a stream back."""

Piece = tuple[int, str, bool]
"""An answer's number, more of its text, and whether it is done."""


class Service:
    """The handlers, over some models; the first is asked where none is named."""

    def __init__(self, served: Sequence[Served], config: ServerConfig):
        self.served, self.config = {each.name: each for each in served}, config
        self.metrics = Metrics(served)
        self.draining = False

    async def summarize(self, request: Request) -> Response:
        return await self._answer(request, read_ask(await request.body(), prefixed=True))

    async def generate(self, request: Request) -> Response:
        return await self._answer(request, read_ask(await request.body(), prefixed=False))

    async def complete(self, request: Request) -> Response:
        ask = read_completion(await request.body(), self.config.max_texts)
        served, answers = await self._begin(ask)
        if ask.stream:
            return self._stream(request, served, answers, _completion_events(ask, served, answers))
        texts = await self._whole(request, served, answers)
        choices = [choice(n, text, each.finish) for n, (text, each) in enumerate(zip(texts, answers, strict=True))]
        return JSONResponse(completion(ask, served.name, choices, _usage(answers)))

    async def models(self, request: Request) -> Response:
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "rot5"} for name in self.served]
        return JSONResponse({"object": "list", "data": listed})

    async def health(self, request: Request) -> Response:
        if self.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ok"})

    async def figures(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def info(self, request: Request) -> Response:
        limits = {key: getattr(self.config, key) for key in LIMITS}
        return JSONResponse(
            {"rot5": __version__, "models": [each.info() for each in self.served.values()], "limits": limits}
        )

    async def _answer(self, request: Request, ask: Ask) -> Response:
        served, answers = await self._begin(ask)
        if ask.stream:
            return self._stream(request, served, answers, _events(answers))
        texts = await self._whole(request, served, answers)
        told = [{"text": text, **_told(each)} for text, each in zip(texts, answers, strict=True)]
        return JSONResponse({"model": served.name, **(told[0] if ask.single else {"answers": told})})

    async def _begin(self, ask: Ask) -> tuple[Served, list[Answer]]:
        """Find the model and put the texts into its line. Raises Refusal."""
        if self.draining:
            raise Refusal(503, "the server is about to stop", {"retry-after": "5"})
        name = next(iter(self.served)) if ask.model is None else ask.model
        if name not in self.served:
            raise Refusal(404, f"no model {name[:100]!r} is served: {nearest(name[:100], self.served)}")
        served = self.served[name]
        try:
            if sum(map(len, ask.texts)) < LONG:
                return served, served.ask_all(ask.texts, ask.settings, ask.prefix)
            return served, await asyncio.to_thread(served.ask_all, ask.texts, ask.settings, ask.prefix)
        except Full as full:
            raise Refusal(429, str(full), {"retry-after": f"{full.seconds}"}) from full
        except Closed as closed:
            raise Refusal(503, str(closed), {"retry-after": "5"}) from closed
        except UserError as error:
            raise Refusal(422, str(error)) from error

    async def _whole(self, request: Request, served: Served, answers: Sequence[Answer]) -> list[str]:
        """All texts. The answers are given up when they are late or the client goes away. Raises Refusal."""
        async with self._watched(request, served, answers):
            try:
                async with asyncio.timeout(self.config.request_seconds):
                    return [await answer.whole() for answer in answers]
            except TimeoutError as error:
                raise Refusal(504, self._late()) from error
            except Failed as failed:
                raise Refusal(503, str(failed)) from failed

    def _stream(
        self, request: Request, served: Served, answers: Sequence[Answer], events: AsyncIterator[bytes]
    ) -> Response:
        """Answers as they grow."""

        async def watched() -> AsyncIterator[bytes]:
            openai = request.url.path.startswith("/v1/")
            async with self._watched(request, served, answers):
                try:
                    async with asyncio.timeout(self.config.request_seconds):
                        async for each in events:
                            yield each
                except TimeoutError:
                    yield event(error_body(504, self._late(), openai))
                except Failed as failed:
                    yield event(error_body(503, str(failed), openai))

        return StreamingResponse(watched(), media_type="text/event-stream", headers=EVENTS)

    def _late(self) -> str:
        return f"the answer was not whole within {self.config.request_seconds:g} s"

    @contextlib.asynccontextmanager
    async def _watched(self, request: Request, served: Served, answers: Sequence[Answer]) -> AsyncIterator[None]:
        """Give the answers up when the client goes away, or when the block ends before they do, and count them."""
        watch = asyncio.create_task(_when_gone(request, answers))
        try:
            yield
        finally:
            watch.cancel()
            for answer in answers:
                answer.cancel()
                self.metrics.note_answer(served.name, answer)


async def _when_gone(request: Request, answers: Sequence[Answer]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    for answer in answers:
        answer.cancel()


def _told(answer: Answer) -> dict[str, Any]:
    return {"finish": answer.finish, "input_tokens": answer.input_tokens, "new_tokens": answer.new_tokens}


def _usage(answers: Sequence[Answer]) -> tuple[int, int]:
    return sum(each.input_tokens for each in answers), sum(each.new_tokens for each in answers)


async def _pieces(answers: Sequence[Answer]) -> AsyncIterator[Piece]:
    """Pieces of the texts of several answers as they come. Raises Failed."""
    line: asyncio.Queue[Piece] = asyncio.Queue()

    async def follow(number: int, answer: Answer) -> None:
        async for piece in answer:
            line.put_nowait((number, piece, False))
        line.put_nowait((number, "", True))

    async with asyncio.TaskGroup() as group:
        for number, answer in enumerate(answers):
            group.create_task(follow(number, answer))
        left = len(answers)
        while left:
            piece = await line.get()
            left -= piece[2]
            yield piece


async def _events(answers: Sequence[Answer]) -> AsyncIterator[bytes]:
    async for number, text, done in _pieces(answers):
        if done:
            yield event({"index": number, "done": True, **_told(answers[number])})
        else:
            yield event({"index": number, "text": text})


async def _completion_events(ask: Ask, served: Served, answers: Sequence[Answer]) -> AsyncIterator[bytes]:
    async for number, text, done in _pieces(answers):
        finish = answers[number].finish if done else None
        yield event(completion(ask, served.name, [choice(number, text, finish)], None))
    if ask.with_usage:
        yield event(completion(ask, served.name, [], _usage(answers)))
    yield event("[DONE]")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    openai = request.url.path.startswith("/v1/")
    status = 400 if openai and error.status == 422 else error.status  # as OpenAI's own server does
    return JSONResponse(error_body(status, error.message, openai), status, error.headers)


def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is no such route", 405: f"{request.method} is not for this route"}
    message = words.get(error.status_code, error.detail)
    body = error_body(error.status_code, message, request.url.path.startswith("/v1/"))
    return JSONResponse(body, error.status_code, error.headers)


def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse(
        error_body(500, "the server failed: its log says why", request.url.path.startswith("/v1/")), 500
    )


Handler = Callable[[Request], Awaitable[Response]]


def build_app(served: Sequence[Served], config: ServerConfig) -> Starlette:
    """The app over some models; `app.state.service` holds its state."""
    service = Service(served, config)
    handlers: dict[str, tuple[str, Handler]] = {
        "/summarize": ("POST", service.summarize),
        "/generate": ("POST", service.generate),
        "/v1/completions": ("POST", service.complete),
        "/v1/models": ("GET", service.models),
        "/health": ("GET", service.health),
        "/metrics": ("GET", service.figures),
        "/info": ("GET", service.info),
    }
    app = Starlette(
        routes=[Route(path, handler, methods=[method]) for path, (method, handler) in handlers.items()],
        middleware=[
            Middleware(Observed, metrics=service.metrics, routes=frozenset(handlers), access_log=config.access_log),
            Middleware(Guard, config=config, open_paths=("/health",)),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _no_route, Exception: _broken},
    )
    app.state.service = service
    return app
