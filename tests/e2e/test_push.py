"""`rot5 export --push` against a stand-in of the hub on this machine: what arrives, what is told where it cannot."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rot5.data.corpus import Corpus

REPO = "someone/summarizer"
TOKEN = "hf_abcdefghijklmnop"


class Hub(ThreadingHTTPServer):
    """What huggingface_hub asks of a hub when it uploads a folder, for one repository, in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.refusal: tuple[int, str] | None = None
        """Status and words that every request of the interface is answered with."""
        self.created: dict = {}
        self.public_before = False
        self.large: dict[str, bytes] = {}
        """Uploaded files by their sha256."""
        self.files: dict[str, bytes] = {}
        """What was committed, by path."""


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, found: object, status: int = 200, **headers: str) -> None:
        body = json.dumps(found).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, words: str) -> None:
        self._answer({"error": words}, status, X_Error_Message=words)

    def do_GET(self) -> None:
        if self.server.refusal or not self.path.startswith(f"/api/models/{REPO}"):
            self._refuse(*(self.server.refusal or (404, f"the stand-in knows no {self.path}")))
            return
        private = not self.server.public_before and self.server.created["visibility"] == "private"
        self._answer({"id": REPO, "private": private, "sha": "0" * 40})

    def do_PUT(self) -> None:
        body = self._body()
        assert self.path == f"/store/{hashlib.sha256(body).hexdigest()}"
        self.server.large[self.path.removeprefix("/store/")] = body
        self._answer({})

    def do_POST(self) -> None:
        hub, body = self.server, self._body()
        if hub.refusal:
            self._refuse(*hub.refusal)
            return
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        if self.path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\nlanguage: en\n")
            self._answer({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            hub.created = json.loads(body)
            self._answer({"url": f"{hub.address}/{REPO}"})
        elif self.path == f"/api/models/{REPO}/preupload/main":
            modes = {each["path"]: each["path"].endswith(".safetensors") for each in json.loads(body)["files"]}
            told = [
                {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
                for path, large in modes.items()
            ]
            self._answer({"files": told})
        elif self.path == f"/{REPO}.git/info/lfs/objects/batch":
            objects = [
                each | {"actions": {"upload": {"href": f"{hub.address}/store/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif self.path == f"/api/models/{REPO}/commit/main":
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    hub.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    hub.files[value["path"]] = hub.large[value["oid"]]
            address = f"{hub.address}/{REPO}/commit/{'1' * 40}"
            self._answer({"success": True, "commitUrl": address, "commitOid": "1" * 40, "pullRequestUrl": None})
        else:
            self._refuse(501, f"the stand-in knows no {self.path}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield server
    server.shutdown()
    server.server_close()
    serving.join()


@pytest.fixture
def place(tmp_path, corpora, tiny_model, monkeypatch) -> Path:
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    tiny_model(vocab_size=len(tokenizer), num_layers=1, num_decoder_layers=1).save_pretrained(tmp_path / "ours")
    tokenizer.save_pretrained(tmp_path / "ours")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def alone(place: Path, endpoint: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, which may ask the hub at `endpoint`: settings that forbid it are read once."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN, "HF_HOME": str(place / "home")}
    environment = {**os.environ, **settings, "HF_HUB_DISABLE_XET": "1"}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=place, env=environment)


def test_what_arrives_is_the_folder_bit_by_bit(hub, place):
    call = ["-m", "rot5.cli", "export", "ours", "--portable", "--out", "out", "--push", REPO]
    done = alone(place, hub.address, *call)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{hub.address}/{REPO}\n")
    written = {str(path.relative_to("out")): path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert {"model.safetensors", "README.md", "modeling_rot5.py", "config.json"} < set(written)
    assert hub.files == written and hub.large
    assert (hub.created["organization"], hub.created["name"]) == ("someone", "summarizer")
    assert hub.created["visibility"] == "private"
    assert f"# {REPO}" in written["README.md"].decode() and f'name = "{REPO}"' in written["README.md"].decode()


PUSH = """
import sys
from pathlib import Path
from rot5.errors import UserError
from rot5.export.push import push
try:
    print(push(Path("folder"), sys.argv[1], private=sys.argv[2] == "true"))
except UserError as error:
    sys.exit(f"told: {error}")
"""


@pytest.fixture
def pushed(tmp_path):
    """Uploads a small folder, and returns what was told in the one line that it was refused with, or its address."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "README.md").write_text("---\nlanguage: en\n---\n")

    def push(endpoint: str, private: bool = True) -> str:
        done = alone(tmp_path, endpoint, "-c", PUSH, REPO, str(private).lower())
        if done.returncode == 0:
            return done.stdout.strip()
        assert "Traceback" not in done.stderr, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith(f"told: push {REPO}"), done.stderr
        return last

    return push


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "Invalid credentials"), (403, "You may not write here"), (404, "Not found"), (400, "Bad name")],
)
def test_what_the_hub_refuses_is_told_in_one_line(hub, pushed, status, words):
    hub.refusal = (status, words)
    told = pushed(hub.address)
    assert str(status) in told and words in told and "folder" in told and not hub.files


def test_a_public_repository_is_not_taken_for_a_private_one(hub, pushed):
    hub.public_before = True
    assert "the repository is public already" in pushed(hub.address) and not hub.files
    assert pushed(hub.address, private=False) == f"{hub.address}/{REPO}"
    assert hub.created["visibility"] == "public" and set(hub.files) == {"README.md"}


def test_no_network_is_told_in_one_line(pushed):
    assert "to http://127.0.0.1:9 failed" in pushed("http://127.0.0.1:9")
