"""A browser, a server of two small models with a page, and pages that tell what they asked for and complained of."""

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE = 30_000
"""Milliseconds that anything on a page may take."""


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    """The browser; without one its tests are skipped, unless ROT5_BROWSER is `required`.

    It goes with its tests: while it lives, playwright runs an event loop in this thread, where no test could start one.
    """
    found = os.environ.get("ROT5_CHROMIUM") or shutil.which("chromium")
    if not found:
        refuse = pytest.fail if os.environ.get("ROT5_BROWSER") == "required" else pytest.skip
        refuse("no chromium is installed: install it, or name one in ROT5_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


def small_model(corpora: Path, folder: Path, prefix: str = "", **settings: int) -> Path:
    """A new model with the corpora's tokenizer, saved in the folder; tuned to a task where it has a prefix."""
    import torch

    from rot5.data.corpus import Corpus
    from rot5.data.tokenizer import special_ids
    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    ids = special_ids(tokenizer)
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4,
             "num_key_value_heads": 2, "feed_forward_proj": "gated-gelu", "vocab_size": ids.vocab_size,
             "pad_token_id": ids.pad, "eos_token_id": ids.eos, "decoder_start_token_id": ids.decoder_start}  # fmt: skip
    config = Rot5Config(**{**shape, **settings})
    if prefix:
        config.task_specific_params = {"summarization": {"prefix": prefix}}
    Rot5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_run(folder: Path, verb: str, records: int, rouge: float | None = None) -> Path:
    """A run folder as training leaves it, with so many records of metrics."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("train: {steps: 40}\nderived: {parameters: 123456, steps: 40}\n")
    (folder / "environment.json").write_text(json.dumps({"command": ["rot5", verb]}))
    for number in range(1, records + 1):
        add_record(folder, number)
    if rouge is not None:
        systems = {"model": {"rougeL": {"mean": rouge, "low": rouge - 1, "high": rouge + 1}, "content_true": 90.0}}
        told = {"examples": 5, "systems": systems, "settings": {}}
        (folder / "eval.json").write_text(json.dumps({"summaries": told}))
    return folder


def add_record(folder: Path, number: int) -> None:
    """One more line of metrics."""
    record = {
        "step": number,
        "seconds": 1.5 * number,
        "story_tokens": 1000 * number,
        "train/loss": 5 / number,
        "eval/loss": 6 / number,
        "eval/bits_per_byte": 2 / number,
        "speed/story_tokens_per_second": 700,
    }
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


class Site(NamedTuple):
    """A page that is served."""

    url: str
    runs: Path
    models: list
    temporary: Path
    """Where Gradio keeps files."""


@contextmanager
def serving(models: list, runs: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """The address of a server of this process with a page, and what stops it and tells how many seconds that took."""
    from rot5.page.mount import attach
    from rot5.serve.app import build_app
    from rot5.serve.run import bind, new_server
    from rot5.serve.settings import ServerConfig

    config = ServerConfig(port=0)
    app, place, started = build_app(models, config), bind(config), threading.Event()
    attach(app, models, runs)
    server = new_server(app, config, started.set)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([place])), daemon=True)
    thread.start()
    assert started.wait(60), "the server did not start"

    def stop() -> float:
        began = time.monotonic()
        app.state.service.draining = server.should_exit = True
        thread.join(30)
        return time.monotonic() - began

    yield f"http://127.0.0.1:{place.getsockname()[1]}/", stop
    stop()


@pytest.fixture(scope="session")
def site(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two models, `tuned` and `plain`, and two runs, behind a server of this process."""
    from rot5.serve.models import Served
    from rot5.serve.settings import ServerConfig

    folder = tmp_path_factory.mktemp("site")
    small_model(corpora, folder / "tuned", prefix="[S]")
    small_model(corpora, folder / "plain", num_experts=3, encoder_sparse_step=2, decoder_sparse_step=0)
    write_run(folder / "runs" / "study" / "first", "pretrain", 4)
    write_run(folder / "runs" / "second", "finetune", 3, rouge=41.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "temporary"))
        models = [Served.open(name, ServerConfig()) for name in ("tuned", "plain")]
        with serving(models, folder / "runs") as (url, _):
            yield Site(url, folder / "runs", models, folder / "temporary")
        for model in models:
            model.close(1.0)


@pytest.fixture
def opened(chromium) -> Callable:
    """Opens an address in a window of its own. On leaving it, nothing may have been asked of another machine, and
    nothing may have been complained of."""

    @contextmanager
    def open_page(url: str, width: int = 1280) -> Iterator:
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme="light", accept_downloads=True)
        page.set_default_timeout(PATIENCE)
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            if url.startswith("http"):
                with page.expect_request("**/heartbeat/**"):  # the page listens to clicks from then on
                    page.goto(url)
            else:
                page.goto(url)
            yield page
            assert asked and not complaints, complaints
            for each in map(urlsplit, asked):
                assert each.scheme in ("file", "data", "blob") or each.hostname == "127.0.0.1", each
        finally:
            page.close()

    return open_page


@pytest.fixture(scope="session")
def findings() -> Callable[..., list[str]]:
    """What axe finds on a page beyond what is minor."""
    from axe_playwright_python.sync_playwright import Axe

    def scan(page) -> list[str]:
        return [
            f"{found['id']}: {found['nodes'][0]['target']} {found['nodes'][0]['failureSummary']}"
            for found in Axe().run(page).response["violations"]
            if found["impact"] != "minor"
        ]

    return scan
