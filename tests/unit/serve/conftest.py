"""A small model with a tokenizer that is served, and the server of it on a port of this machine."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rot5.loading import Loaded
from rot5.serve.models import Served
from rot5.serve.settings import ServerConfig

CONFIG = ServerConfig(
    port=0, slots=4, waiting=6, max_texts=5, max_input_tokens=400, max_new_tokens=300, max_body_bytes=20_000,
    body_seconds=0.5, request_seconds=20.0,
)  # fmt: skip


@pytest.fixture
def loaded(corpora: Path, tiny_model: Callable) -> Loaded:
    from rot5.data.corpus import Corpus

    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    model = tiny_model(vocab_size=len(tokenizer), eos_token_id=2, decoder_start_token_id=len(tokenizer) - 5)
    for name, parameter in model.named_parameters():  # answers that vary
        if name.startswith("decoder") and ("o_proj" in name or "down_proj" in name):
            parameter.data.mul_(8)
    return Loaded(model, tokenizer, "[S]")


@pytest.fixture
def open_served(loaded: Loaded) -> Iterator[Callable[..., Served]]:
    """Opens the model under a name, with other settings by keyword."""
    opened = []

    def new(name: str = "small", **settings) -> Served:
        opened.append(Served(name, loaded, replace(CONFIG, **settings)))
        return opened[-1]

    yield new
    for each in opened:
        each.close(0)


@pytest.fixture
def serving() -> Callable:
    """A context in which a server of some models runs in a thread; it gives the address and the app."""
    from rot5.serve.app import build_app
    from rot5.serve.run import bind, new_server

    @contextmanager
    def running(*served: Served) -> Iterator[tuple[str, int]]:
        config, ready = served[0].config, threading.Event()
        app, place = build_app(served, config), bind(config)
        server = new_server(app, config, ready.set)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([place])))
        thread.start()
        assert ready.wait(10)
        yield place.getsockname()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()

    return running
