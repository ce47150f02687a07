"""Requests that come and go at any time are answered as if each were alone."""

import random

import pytest
import torch

from rot5.generate import queue as queues
from rot5.generate.answers import Engine
from rot5.generate.queue import PACES, Pace, Queue, Request
from rot5.generate.settings import GenerateConfig

SETTINGS = [
    GenerateConfig(max_new_tokens=12),
    GenerateConfig(max_new_tokens=20, min_new_tokens=6),
    GenerateConfig(max_new_tokens=9, do_sample=True, seed=3, temperature=1.3),
    GenerateConfig(max_new_tokens=16, do_sample=True, seed=4, top_k=7, min_new_tokens=3),
    GenerateConfig(max_new_tokens=5, do_sample=True, seed=5, top_p=0.7),
]


@pytest.fixture(params=["plain", "dynamic", "bias"])
def engine(request, tiny_model) -> Engine:
    shapes = {
        "plain": {},
        "dynamic": {
            "rope_parameters": {"rope_type": "dynamic", "factor": 2.0},
            "max_position_embeddings": 4,
            "cross_position_encoding": "continuous",
        },
        "bias": {
            "position_encoding": "relative_bias",
            "relative_attention_num_buckets": 4,
            "relative_attention_max_distance": 6,
        },
    }
    return lively(tiny_model(**shapes[request.param]))


@pytest.fixture
def plain(tiny_model) -> Engine:
    return lively(tiny_model())


@torch.no_grad()
def lively(model) -> Engine:
    """With answers that vary and end at many places."""
    for name, parameter in model.named_parameters():
        if name.startswith("decoder") and ("o_proj" in name or "down_proj" in name):
            parameter.mul_(8)
    model.generation_config.eos_token_id = [1, *range(60, 90, 3)]
    return Engine(model, "float32")


def questions(count: int) -> list[tuple[list[int], GenerateConfig]]:
    draw = random.Random(1)
    inputs = [[draw.randrange(3, 96) for _ in range(draw.choice((1, 3, 6, 9, 30)))] for _ in range(count)]
    return [(ids, SETTINGS[number % len(SETTINGS)]) for number, ids in enumerate(inputs)]


def new_queue(engine: Engine, slots: int = 4, encoded_at_once: int | None = 16) -> Queue:
    return Queue(engine.decoder, engine.start, engine.ends, slots, encoded_at_once)


def arriving(engine: Engine, queue: Queue, count: int = 25) -> list[Request]:
    """All requests, one or two before each step and pauses in between."""
    requests = [Request(*question) for question in questions(count)]
    draw, waiting = random.Random(2), list(requests)
    while waiting or queue.busy:
        for _ in range(draw.choice((0, 0, 1, 2))):
            if waiting:
                queue.add(waiting.pop(0))
        if queue.busy:
            queue.advance()
    return requests


def alone(engine: Engine, count: int = 25) -> list[list[int]]:
    return [engine([ids], settings)[0] for ids, settings in questions(count)]


@pytest.mark.parametrize("pace", [Pace(1, 1, False), Pace(5, 3, False, 3)], ids=str)
def test_answers_in_company_are_those_alone(engine, monkeypatch, pace):
    expected = alone(engine)
    monkeypatch.setitem(PACES, "cpu", pace)
    assert len({len(each) for each in expected}) > 4
    assert [request.tokens for request in arriving(engine, new_queue(engine))] == expected


def test_tokens_are_handed_out_as_they_come_and_nothing_is_kept_behind_the_last(plain):
    queue, request = new_queue(plain), Request([5, 6], GenerateConfig(max_new_tokens=4, min_new_tokens=4))
    queue.add(request)
    seen = []
    while queue.busy:
        assert queue.advance() == [request]
        seen.append(len(request.tokens))
    assert seen == [1, 2, 3, 4] and request.done
    assert queue.caches is None and not queue.owners and len(queue.newest_R) == 0


def test_caches_are_as_large_as_what_is_in_them(plain):
    queue = new_queue(plain, slots=8, encoded_at_once=None)
    short = [Request([5], GenerateConfig(max_new_tokens=40, min_new_tokens=40)) for _ in range(2)]
    for each in short:
        queue.add(each)
    queue.advance()
    assert queue.caches is not None and queue.caches.own.shape[2] == 2 and queue.caches.width == 1
    long = [Request([5] * 9, GenerateConfig(max_new_tokens=60, min_new_tokens=60)) for _ in range(5)]
    for each in long:
        queue.add(each)
    queue.advance()
    assert queue.caches.own.shape[2] == 7 and queue.caches.width == 9 and queue.caches.places == 60
    for each in long:
        queue.cancel(each)
    queue.advance()
    assert queue.caches.own.shape[2] == 2 and queue.caches.width == 1


def test_a_cancelled_request_makes_room(plain):
    queue = new_queue(plain, slots=1)
    endless = GenerateConfig(max_new_tokens=500, min_new_tokens=500)
    first, second, third = (Request([5, 6], endless) for _ in range(3))
    for each in (first, second, third):
        queue.add(each)
    queue.advance()
    queue.cancel(second)
    queue.cancel(first)
    assert queue.advance() == [third] and len(first.tokens) == 1 and not second.tokens
    queue.cancel(third)
    assert not queue.busy and queue.caches is None


def test_long_arrivals_do_not_stop_the_others(plain, monkeypatch):
    """No more is encoded between two steps than is asked for, the first of the line first."""
    queue, sizes = new_queue(plain, slots=16, encoded_at_once=20), []
    encode = plain.decoder.encode
    monkeypatch.setattr(plain.decoder, "encode", lambda inputs: sizes.append([*map(len, inputs)]) or encode(inputs))
    for length in (10, 4, 9, 30, 2, 2):
        queue.add(Request([7] * length, GenerateConfig(max_new_tokens=9, min_new_tokens=9)))
    for _ in range(4):
        queue.advance()
    assert sizes == [[10, 4], [9], [30], [2, 2]]


def test_draws_go_by_seed_and_number_of_the_request(plain):
    settings = GenerateConfig(max_new_tokens=8, min_new_tokens=8, do_sample=True, seed=7)
    expected = plain([[4, 5]] * 3, settings)
    queue = new_queue(plain)
    requests = [Request([4, 5], settings, number) for number in (2, 0, 1)]
    for each in requests:
        queue.add(each)
    while queue.busy:
        queue.advance()
    assert [each.tokens for each in requests] == [expected[2], expected[0], expected[1]]
    assert len({tuple(each) for each in expected}) == 3
    assert queues.row_key(7, 0) != queues.row_key(8, 0)
