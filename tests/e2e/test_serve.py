"""`rot5 serve` as users call it: a process that answers, refuses, and stops when it is told to."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rot5.data.corpus import Corpus
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig
from rot5.loading import load
from rot5.serve.client import Client, ServerError

STORY = "Once upon a time there was a little cat named Tom. Tom wanted a fish."
TOKEN = "a secret of this test".replace(" ", "-")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, corpora) -> Path:
    import torch

    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    ids = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 1}
    shape = Rot5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, **ids)
    shape.task_specific_params = {"summarization": {"prefix": "[S]"}}
    folder = tmp_path_factory.mktemp("served") / "model"
    Rot5ForConditionalGeneration(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Running(NamedTuple):
    """A server's process, its address, and what it printed when it started."""

    process: subprocess.Popen
    url: str
    said: str


@pytest.fixture
def running(folder) -> Iterator[Running]:
    words = [sys.executable, "-m", "rot5.cli", "serve", str(folder), "--port", "0", "--slots", "2", "--waiting", "3"]
    process = subprocess.Popen(
        [*words, "--max_new_tokens", "3000"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROT5_SERVE_TOKEN": TOKEN},
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("serving at "):
            break
    yield Running(process, said[-1].split()[-1], "".join(said))
    process.kill()
    process.wait()


def test_it_answers_refuses_and_stops_when_all_is_answered(running, folder):
    process, url, said = running
    assert f"model {folder}: rot5" in said and "2 answers at work, 3 waiting" in said and "float32" in said
    client, expected = Client(url, token=TOKEN), write_texts(load(str(folder)), [STORY], GenerateConfig())[0]
    assert client.summarize([STORY]) == [expected]
    assert "".join(client.stream(STORY)) == expected
    for wrong, status in ((Client(url, token="other"), 401), (Client(url, token=TOKEN, model="none"), 404)):
        with pytest.raises(ServerError) as refused:
            wrong.generate(STORY)
        assert refused.value.status == status
    with socket.create_connection(url[len("http://") :].split(":")) as stranger:
        stranger.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert stranger.recv(100).startswith(b"HTTP/1.1 400 ")

    for path, body in commands_of_the_documents():
        request = urllib.request.Request(url + path, body.encode(), {"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request) as response:
            assert response.status == 200 and response.read()

    lengths = [150, 160, 170, 180, 190]
    found: list[str] = []

    def ask(length: int) -> None:
        found.append(client.generate(STORY, max_new_tokens=length, min_new_tokens=length))

    threads = [threading.Thread(target=ask, args=(length,)) for length in lengths]
    for thread in threads:
        thread.start()
    wait_until_full(url)
    with pytest.raises(ServerError, match="try again") as refused:
        Client(url, token=TOKEN, retries=0).generate("a")
    assert refused.value.status == 429
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert len(found) == len(lengths) and all(found)
    assert process.wait(20) == 0
    with pytest.raises(ServerError) as refused:
        client.generate(STORY)
    assert refused.value.status == 0


def commands_of_the_documents() -> list[tuple[str, str]]:
    """Paths and bodies of the calls in docs/serving.md."""
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    found = re.findall(r"^curl .*127.0.0.1:8000(/\S+) -d '(.*)'$", page, re.MULTILINE)
    assert len(found) >= 4 and all(json.loads(body) for _, body in found)
    return found


def wait_until_full(url: str) -> None:
    """Until five answers are open, of which two grow and three wait."""
    request = urllib.request.Request(url + "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with urllib.request.urlopen(request) as response:
            if re.search(rb"^rot5_answers_open\{.*\} 5.0$", response.read(), re.MULTILINE):
                return
        time.sleep(0.02)
    raise AssertionError("the line was never full")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "no model"),
        (["m", "m"], "models must differ"),
        (["m", "--slots", "0", "--port", "70000"], "slots 0 must be at least 1; port 70000"),
        (["m", "--precision", "int9"], "unknown precision 'int9'"),
        (["m", "--ui", "true", "--token", "t"], "ui and a token"),
        (["m", "n"], "no model 'm'"),
    ],
    ids=str,
)
def test_mistakes_are_said_in_one_line(rot5, tmp_path, monkeypatch, words, complaint):
    monkeypatch.chdir(tmp_path)
    called = rot5("serve", *words, *([] if "--port" in words else ["--port", "0"]))
    assert called.code == 2 and complaint in called.err and called.err.count("\n") == 1


def test_a_port_that_is_taken_is_said_before_a_model_is_loaded(rot5, monkeypatch):
    monkeypatch.setattr("rot5.serve.models.load", None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        called = rot5("serve", "m", "--port", taken.getsockname()[1])
    assert called.code == 2 and "cannot listen on 127.0.0.1" in called.err


def test_without_the_extra_it_says_what_to_install(rot5, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("uvicorn", "rot5.serve.run"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    called = rot5("serve", "m")
    assert called.code == 2 and "pip install 'rot5[serve]'" in called.err
