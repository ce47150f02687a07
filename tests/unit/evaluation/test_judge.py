"""The client of the judge against a real server that behaves well, badly, slowly or not at all."""

import itertools
import json
import threading
import time

import pytest
from judge_server import GOOD, chat, serving, varied

from rot5.errors import UserError
from rot5.evaluation import judge
from rot5.evaluation.judge import Answers, Endpoint, Judge, estimate, key_of_environment, problems

KEY = "sk-not-to-be-seen-anywhere"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(judge, "FIRST_WAIT", 0.005)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def asker(server, folder, key="", **settings) -> Judge:
    endpoint = Endpoint(**{"url": server.url, "model": "judge", "timeout": 5.0, "retries": 2} | settings)
    return Judge(endpoint, Answers(folder / "answers.jsonl"), key)


def requests(judge: Judge, count: int) -> list[dict]:
    return [judge.endpoint.request([{"role": "user", "content": f"{n}"}] * 2) for n in range(count)]


def in_turn(*replies):
    """Replies one after the other, the last one for ever."""
    turns = itertools.chain(replies, itertools.repeat(replies[-1]))
    lock = threading.Lock()

    def reply(request):
        with lock:
            return next(turns)

    return reply


def test_what_is_sent_and_that_it_is_sent_once(tmp_path):
    with serving(varied) as server:
        first = asker(server, tmp_path, KEY)
        asked = requests(first, 9)
        answers = first.ask([*asked, *asked])
        assert len(server.requests) == 9
        assert answers[:9] == answers[9:] and len(set(answers)) > 1
        assert set(server.paths) == {"/v1/chat/completions"}
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        assert all(request["temperature"] == 0 and request["model"] == "judge" for request in server.requests)
        assert asker(server, tmp_path).ask(asked) == answers[:9]
        assert len(server.requests) == 9
        other = asker(server, tmp_path, model="other")
        assert len(other.missing(requests(other, 9))) == 9
    assert KEY not in (tmp_path / "answers.jsonl").read_text()
    assert KEY not in repr(first)


def test_without_a_key_none_is_sent(tmp_path):
    with serving(lambda request: chat(GOOD)) as server:
        judge = asker(server, tmp_path)
        judge.ask(requests(judge, 1))
        assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    "trouble",
    [
        [(500, "oops", {})],
        [(503, "", {}), (502, "", {})],
        [(429, "slow down", {"Retry-After": "0"})],
        [(429, "slow down", {"Retry-After": "soon"})],
        [None],
    ],
    ids=["500", "503 and 502", "429", "429 with words", "dropped"],
)
def test_what_passes_is_tried_again(tmp_path, trouble):
    with serving(in_turn(*trouble, chat(GOOD))) as server:
        judge = asker(server, tmp_path)
        assert judge.ask(requests(judge, 1)) == [GOOD]
        assert len(server.requests) == len(trouble) + 1


def test_waits_double_and_the_servers_wish_counts_up_to_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "LONGEST_WAIT", 0.3)
    with serving(in_turn((429, "", {"Retry-After": "9999"}), chat(GOOD))) as server:
        asking = asker(server, tmp_path)
        start = time.monotonic()
        asking.ask(requests(asking, 1))
        assert 0.3 <= time.monotonic() - start < 3
    monkeypatch.setattr(judge, "FIRST_WAIT", 0.1)
    waits = []
    with serving(in_turn((500, "", {}))) as server:
        asking = asker(server, tmp_path, retries=3, model="other")
        monkeypatch.setattr(asking._stop, "wait", lambda seconds: waits.append(seconds) or False)
        with pytest.raises(UserError, match="4 tries"):
            asking.ask(requests(asking, 1))
    assert waits == [0.1, 0.2, 0.3]


def test_a_slow_server_is_given_up_and_asked_again(tmp_path):
    slow = threading.Event()

    def reply(request):
        if not slow.is_set():
            slow.set()
            time.sleep(0.6)
        return chat(GOOD)

    with serving(reply) as server:
        judge = asker(server, tmp_path, timeout=0.2)
        assert judge.ask(requests(judge, 1)) == [GOOD]
        assert len(server.requests) == 2


def test_a_server_that_is_down_keeps_what_came_before(tmp_path):
    with serving(lambda request: chat(GOOD)) as server:
        judge = asker(server, tmp_path)
        judge.ask(requests(judge, 3))
    with pytest.raises(UserError) as caught:
        judge.ask(requests(judge, 5))
    said = str(caught.value)
    assert "3 tries" in said and "refused" in said and "3 answers are kept" in said and "continues" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("status", "body", "headers", "phrase"),
    [
        (401, "no", {}, "ROT5_JUDGE_KEY"),
        (403, "no", {}, "ROT5_JUDGE_KEY"),
        (404, '{"error":\n "no such model"}', {}, "no such model"),
        (400, f"bad key {KEY}", {}, "bad key [key]"),
        (302, "", {"Location": "http://127.0.0.1:1/"}, "--judge_url"),
    ],
)
def test_a_refusal_is_not_tried_again_and_stops_the_others(tmp_path, status, body, headers, phrase):
    with serving(lambda request: (status, body, headers)) as server:
        judge = asker(server, tmp_path, KEY, parallel=2)
        with pytest.raises(UserError) as caught:
            judge.ask(requests(judge, 60))
        assert len(server.requests) < 20
        assert phrase in str(caught.value) and KEY not in str(caught.value) and "\n" not in str(caught.value)


def test_a_refusal_wakes_those_that_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "FIRST_WAIT", 20.0)

    def reply(request):
        if request["messages"][0]["content"] == "0":
            return 500, "", {}
        time.sleep(0.1)
        return 401, "", {}

    with serving(reply) as server:
        asking = asker(server, tmp_path, parallel=2)
        start = time.monotonic()
        with pytest.raises(UserError, match="401"):
            asking.ask(requests(asking, 2))
        assert time.monotonic() - start < 10


@pytest.mark.parametrize("body", ["<html>", "", "[]", "{}", '{"choices": []}', '{"choices": [{"message": null}]}'])
def test_a_response_that_is_none_is_kept_as_it_came(tmp_path, body):
    with serving(lambda request: (200, body, {})) as server:
        judge = asker(server, tmp_path)
        assert judge.ask(requests(judge, 1)) == [body]


def test_a_key_that_the_server_shows_is_not_kept(tmp_path):
    with serving(lambda request: chat(f"You sent {KEY}")) as server:
        judge = asker(server, tmp_path, KEY)
        assert judge.ask(requests(judge, 1)) == ["You sent [key]"]
    assert KEY not in (tmp_path / "answers.jsonl").read_text()


def test_a_torn_line_is_cut_off_and_others_are_told(tmp_path):
    with serving(varied) as server:
        judge = asker(server, tmp_path, parallel=1)
        asked = requests(judge, 4)
        answers = judge.ask(asked)
        file = tmp_path / "answers.jsonl"
        whole = file.read_bytes()
        file.write_bytes(whole[:-20])
        assert asker(server, tmp_path).ask(asked) == answers
        assert len(server.requests) == 5
        assert file.read_bytes() == whole
    file.write_text('{"request": "a", "answer": "b"}\n{"request": \n')
    with pytest.raises(UserError, match=r"answers.jsonl, line 2"):
        Answers(file)


def test_estimates_follow_their_rule():
    endpoint = Endpoint(url="http://127.0.0.1/v1", model="m", answer_tokens=50)
    found = estimate([endpoint.request([{"role": "user", "content": "x" * 401}])] * 10)
    assert found == (10, 1010, 500)
    assert found.cost(2, 10) == pytest.approx(0.00702)


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"url": "127.0.0.1:80"}, "no address"),
        ({"url": "file:///etc/hosts"}, "no address"),
        ({"url": "http://[::1"}, "no address"),
        ({"url": "http://a:99999/"}, "no address"),
        ({"url": f"http://me:{KEY}@127.0.0.1/v1"}, "no key"),
        ({"url": f"http://127.0.0.1/v1?key={KEY}"}, "no key"),
        ({"parallel": 0}, "parallel 0"),
        ({"retries": -1}, "retries -1"),
        ({"timeout": 0}, "timeout 0"),
        ({"answer_tokens": 0}, "answer_tokens 0"),
        ({"model": ""}, "judge_model"),
    ],
)
def test_what_cannot_work_is_told_before(changes, phrase):
    found = problems(Endpoint(**{"url": "http://127.0.0.1:8000/v1", "model": "m"} | changes))
    assert len(found) == 1 and phrase in found[0] and KEY not in found[0]
    assert not problems(Endpoint(url="http://127.0.0.1:8000/v1", model="m"))


def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch):
    monkeypatch.setenv("ROT5_JUDGE_KEY", f" {KEY}\n")
    assert key_of_environment() == KEY
    monkeypatch.setenv("ROT5_JUDGE_KEY", f"{KEY}\n{KEY}")
    with pytest.raises(UserError) as caught:
        key_of_environment()
    assert KEY not in str(caught.value)
    monkeypatch.delenv("ROT5_JUDGE_KEY")
    assert key_of_environment() == ""


def test_answers_hold_what_was_asked(tmp_path):
    with serving(lambda request: chat(GOOD)) as server:
        judge = asker(server, tmp_path)
        judge.ask(requests(judge, 1))
        row = json.loads((tmp_path / "answers.jsonl").read_text())
        assert row["asked"] == server.requests[0] and row["answer"] == GOOD
