"""The server over real connections: answers whole and in pieces, refusals, clients that go away, and strangers."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time

import pytest

from rot5.bench.serve_hostile import attack
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig
from rot5.serve.client import Client, ServerError

STORY = "Once upon a time there was a little cat named Tom. Tom wanted a fish."
SHORT = {"max_new_tokens": 12}
ENDLESS = {"max_new_tokens": 300, "min_new_tokens": 300}


def call(address, method: str, path: str, given=None, **headers) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(*address, timeout=20)
    body = given if isinstance(given, bytes | None) else json.dumps(given)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    found = response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    connection.close()
    return found


def post(address, path: str, given, **headers) -> tuple[int, dict]:
    status, _, body = call(address, "POST", path, given, **headers)
    return status, json.loads(body)


def events(body: bytes) -> list:
    lines = [line[6:] for line in body.decode().split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def test_pages_of_other_sites_have_nothing_done(open_served, serving):
    with serving(open_served()) as address:
        own = "http://{}:{}".format(*address)
        assert post(address, "/generate", {"text": "a", **SHORT}, origin=own)[0] == 200
        for origin in ("http://evil.example", "null", f"{own}.evil.example"):
            status, told = post(address, "/generate", {"text": "a", **SHORT}, origin=origin)
            assert status == 403 and "other sites" in told["error"], origin
        assert call(address, "GET", "/health", origin="http://evil.example")[0] == 200


def test_routes(open_served, serving, loaded):
    settings = GenerateConfig(max_new_tokens=12)
    summary = write_texts(loaded, [STORY], settings)[0]
    first, second = open_served("first"), open_served("second")
    with serving(first, second) as address:
        status, told = post(address, "/summarize", {"text": STORY, **SHORT})
        assert status == 200 and told["text"] == summary and told["model"] == "first"
        assert told["new_tokens"] == 12 and told["finish"] == "length"
        _, told = post(address, "/summarize", {"texts": [STORY, "Tom."], "model": "second", **SHORT})
        assert [each["text"] for each in told["answers"]] == write_texts(loaded, [STORY, "Tom."], settings)
        _, told = post(address, "/generate", {"text": STORY, "prefix": "[S]", **SHORT})
        assert told["text"] == summary
        _, unprefixed = post(address, "/generate", {"text": STORY, **SHORT})
        assert unprefixed["input_tokens"] == len(loaded.tokenizer(STORY).input_ids)

        status, headers, body = call(address, "POST", "/summarize", {"text": STORY, "stream": True, **SHORT})
        assert status == 200 and headers["content-type"].startswith("text/event-stream")
        *pieces, last = events(body)
        assert "".join(each["text"] for each in pieces) == summary and len(pieces) > 2
        assert last == {"index": 0, "done": True, "finish": "length", "input_tokens": told["input_tokens"],
                        "new_tokens": 12}  # fmt: skip

        asked = {"prompt": "[S]" + STORY, "max_tokens": 12, "temperature": 0, "n": 2}
        _, told = post(address, "/v1/completions", asked)
        assert [each["text"] for each in told["choices"]] == [summary] * 2 and told["usage"]["completion_tokens"] == 24
        _, _, body = call(address, "POST", "/v1/completions", {**asked, "n": 1, "stream": True})
        *pieces, end = events(body)
        assert end == "[DONE]" and "".join(each["choices"][0]["text"] for each in pieces) == summary
        assert pieces[-1]["choices"][0]["finish_reason"] == "length"
        drawn = [post(address, "/v1/completions", {"prompt": "a", "seed": seed, **{"max_tokens": 9}})[1]["choices"][0]
                 for seed in (1, 1, 2)]  # fmt: skip
        assert drawn[0]["text"] == drawn[1]["text"] != drawn[2]["text"]

        assert [each["id"] for each in json.loads(call(address, "GET", "/v1/models")[2])["data"]] == ["first", "second"]
        told = json.loads(call(address, "GET", "/info")[2])
        assert told["limits"]["slots"] == 4 and "token" not in json.dumps(told["limits"]).replace("_tokens", "")
        assert call(address, "GET", "/health")[0] == 200
        lines = call(address, "GET", "/metrics")[2].decode()
        assert 'rot5_requests_total{route="/summarize",status="200"} 3.0' in lines
        assert 'rot5_answers_total{finish="length",model="second"} 2.0' in lines


def test_refusals(open_served, serving):
    with serving(open_served()) as address:
        for path, given, status in (
            ("/summarize", b"{", 400),
            ("/summarize", {"text": "a", "model": "other"}, 404),
            ("/summarize", {"text": "a", "max_new_tokens": 301}, 422),
            ("/summarize", {"texts": ["a"] * 6}, 422),
            ("/summarize", {"text": "a" * 30_000}, 413),
            ("/nothing", {}, 404),
            ("/health", {}, 405),
        ):
            found, told = post(address, path, given)
            assert found == status and isinstance(told["error"], str), (path, found, told)
        status, told = post(address, "/v1/completions", {"prompt": "a", "max_tokens": 999})
        assert status == 400 and told["error"]["type"] == "invalid_request_error"
        with socket.create_connection(address) as slow:
            slow.sendall(b"POST /summarize HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            slow.settimeout(5)
            assert slow.recv(4096).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(address) as slow:
            slow.sendall(b"POST /summarize HTTP/1.1\r\nHost:")
            slow.settimeout(5)
            assert slow.recv(4096) == b"", "headers that do not come cost a connection for ever"


def test_a_token_is_asked_for(open_served, serving):
    with serving(open_served(token="secret")) as address:
        assert call(address, "GET", "/health")[0] == 200
        for given in ({}, {"Authorization": "Bearer secre"}, {"Authorization": "Basic secret"}):
            status, headers, _ = call(address, "POST", "/summarize", {"text": "a"}, **given)
            assert status == 401 and headers["www-authenticate"] == "Bearer"
        assert call(address, "GET", "/metrics")[0] == 401
        assert post(address, "/summarize", {"text": "a", **SHORT}, Authorization="Bearer secret")[0] == 200
        url = "http://{}:{}".format(*address)
        assert Client(url, token="secret").generate("a", **SHORT)
        with pytest.raises(ServerError, match="token") as error:
            Client(url).generate("a")
        assert error.value.status == 401


def test_a_full_server_says_when_to_come_again_and_clients_do(open_served, serving):
    served = open_served(slots=1, waiting=0)
    with serving(served) as address:
        blocking = served.ask(STORY, GenerateConfig(**ENDLESS))
        status, headers, body = call(address, "POST", "/summarize", {"text": "a"})
        assert status == 429 and int(headers["retry-after"]) >= 1 and "try again" in json.loads(body)["error"]
        client = Client("http://{}:{}".format(*address))
        with pytest.raises(ServerError) as error:
            Client(client.url, retries=0).generate("a")
        assert error.value.status == 429
        asyncio.run(_cancel_soon(blocking))
        assert client.generate("a", **SHORT)


async def _cancel_soon(answer) -> None:
    await asyncio.sleep(0.1)
    answer.cancel()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_gives_up_its_answer(open_served, serving, stream):
    served = open_served(slots=1, waiting=0, max_new_tokens=3000)
    body = json.dumps({"text": STORY, "stream": stream, "max_new_tokens": 3000, "min_new_tokens": 3000}).encode()
    with serving(served) as address:
        with socket.create_connection(address) as gone:
            gone.sendall(b"POST /summarize HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            wait_for(lambda: served.worker.open == 1)
        wait_for(lambda: served.worker.open == 0)
        assert served.worker.written < 3000
        assert post(address, "/summarize", {"text": "a", **SHORT})[0] == 200


def wait_for(what) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_answer_that_is_late_is_given_up(open_served, serving):
    served = open_served(request_seconds=0.2, max_new_tokens=20_000)
    endless = {"text": "a", "max_new_tokens": 20_000, "min_new_tokens": 20_000}
    with serving(served) as address:
        assert post(address, "/summarize", endless)[0] == 504
        _, _, body = call(address, "POST", "/generate", {**endless, "stream": True})
        assert "not whole within 0.2 s" in events(body)[-1]["error"]
        wait_for(lambda: served.worker.open == 0)


def test_clients(open_served, serving, loaded):
    with serving(open_served()) as address:
        client = Client("http://{}:{}/".format(*address), model="small")
        texts = [STORY, "Tom."]
        expected = write_texts(loaded, texts, GenerateConfig(max_new_tokens=12))
        assert client.summarize(texts, **SHORT) == expected and client.summarize(STORY, **SHORT) == expected[0]
        assert "".join(client.stream(STORY, **SHORT)) == expected[0] == client.generate(STORY, "[S]", **SHORT)
        with pytest.raises(ServerError, match="did you mean"):
            client.generate("a", sed=3)
    with pytest.raises(ServerError) as error:
        Client("http://{}:{}".format(*address)).generate("a")
    assert error.value.status == 0


def test_strangers_do_no_harm(open_served, serving, loaded):
    served = open_served(waiting=60)
    with serving(served) as address:
        found = asyncio.run(attack("http://{}:{}".format(*address), 120))
        assert found["500"] == 0 and found["400"] > 10 and found["silence"] == 0, found
        told = post(address, "/summarize", {"text": STORY, **SHORT})[1]
        assert told["text"] == write_texts(loaded, [STORY], GenerateConfig(max_new_tokens=12))[0]


def test_the_client_is_light():
    code = "import sys, rot5.serve.client; assert not {'torch', 'starlette', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
