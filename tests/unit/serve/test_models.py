"""Answers of a served model: their texts, one by one and in company, what is refused, and what fails."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from rot5.errors import UserError
from rot5.generate.answers import write_texts
from rot5.generate.settings import GenerateConfig
from rot5.serve.models import Failed, Served
from rot5.serve.worker import Closed, Full

STORY = "Once upon a time there was a little cat named Tom. Tom wanted a fish."
TEXTS = [STORY, "Tom was sad.", STORY * 3, "A dog and a cat.", "One day", STORY + " The end."]
SETTINGS = [
    GenerateConfig(max_new_tokens=30),
    GenerateConfig(max_new_tokens=25, do_sample=True, seed=3),
    GenerateConfig(max_new_tokens=20, do_sample=True, seed=4, top_p=0.8, top_k=20, min_new_tokens=10),
]
ENDLESS = GenerateConfig(max_new_tokens=300, min_new_tokens=300)


def asked(served: Served) -> list:
    return [served.ask(text, SETTINGS[n % 3]) for n, text in enumerate(TEXTS)]


@pytest.fixture
def expected(loaded) -> list[str]:
    return [write_texts(loaded, [text], SETTINGS[n % 3])[0] for n, text in enumerate(TEXTS)]


def test_pieces_and_results_are_what_the_command_writes(open_served, expected):
    served = open_served()
    assert ["".join(answer) for answer in asked(served)] == expected
    assert [answer.result(20) for answer in asked(served)] == expected
    assert len(set(expected)) > 3


def test_event_loops_get_the_same_without_threads(open_served, expected):
    served = open_served(waiting=20)

    async def joined(answer) -> str:
        return "".join([piece async for piece in answer])

    async def main() -> list[list[str]]:
        before = threading.active_count()
        streams = asyncio.gather(*map(joined, asked(served)))
        wholes = await asyncio.gather(*(answer.whole() for answer in asked(served)))
        assert threading.active_count() == before
        return [await streams, wholes]

    assert asyncio.run(main()) == [expected, expected]


def test_prefix_and_counts(open_served, loaded):
    served = open_served()
    answer, other = served.ask(STORY, SETTINGS[0]), served.ask(STORY, SETTINGS[0], prefix="[X] ")
    assert answer.result(20) == write_texts(loaded, [STORY], SETTINGS[0])[0]
    assert other.result(20) == write_texts(replace(loaded, prefix="[X] "), [STORY], SETTINGS[0])[0]
    assert answer.input_tokens == len(loaded.read_inputs([STORY])[0])
    assert answer.new_tokens == 30 and answer.finish == "length"
    assert served.info()["prefix"] == "[S]" and served.info()["parameters"] == loaded.model.num_parameters()


def test_a_cancelled_answer_ends_and_frees_its_place(open_served):
    served = open_served(slots=1, waiting=0)
    answer = served.ask(STORY, ENDLESS)
    stream = iter(answer)
    first = next(stream)
    answer.cancel()
    text = first + "".join(stream)
    assert answer.finish == "cancelled" and answer.result() == text and answer.new_tokens < 300
    assert served.ask(STORY, SETTINGS[0]).result(20)


def test_a_full_line_is_said_and_takes_all_or_none(open_served):
    served = open_served(slots=1, waiting=2)
    answers = [served.ask(STORY, ENDLESS)]
    with pytest.raises(Full) as full:
        served.ask_all([STORY] * 3, ENDLESS)
    assert 1 <= full.value.seconds <= 60 and served.worker.open == 1
    answers += served.ask_all([STORY] * 2, ENDLESS)
    with pytest.raises(Full):
        served.ask(STORY, ENDLESS)
    for answer in answers:
        answer.cancel()
    assert served.ask(STORY, SETTINGS[0]).result(20)


@pytest.mark.parametrize(
    ("texts", "settings", "words"),
    [
        (["a"], GenerateConfig(max_new_tokens=301), "above the limit of 300"),
        (["a"], GenerateConfig(num_beams=2), "num_beams"),
        (["a"], GenerateConfig(temperature=0.0), "temperature"),
        (["a"] * 6, GenerateConfig(), "between 1 and 5"),
        ([], GenerateConfig(), "between 1 and 5"),
        (["cat " * 500], GenerateConfig(), "between 1 and 400"),
    ],
)
def test_what_is_beyond_the_limits_is_refused(open_served, texts, settings, words):
    with pytest.raises(UserError, match=words):
        open_served().ask_all(texts, settings)


def test_a_failure_is_told_and_the_thread_goes_on(open_served, monkeypatch, caplog):
    served = open_served(slots=1)
    step, failing = served.worker.engine.decoder.step, [True]

    def broken(*given):
        if failing:
            failing.clear()
            raise RuntimeError("out of memory")
        return step(*given)

    monkeypatch.setattr(served.worker.engine.decoder, "step", broken)
    lost, kept = served.ask_all([STORY, STORY], SETTINGS[0])
    with pytest.raises(Failed, match="the model failed"):
        lost.result(20)
    assert kept.result(20) == served.ask(STORY, SETTINGS[0]).result(20)
    assert "out of memory" in caplog.text


def test_closing_finishes_what_was_accepted_and_takes_nothing_more(open_served):
    served = open_served(slots=2)
    answers = served.ask_all([STORY] * 4, SETTINGS[0])
    assert served.close(20) and all(answer.done and answer.result() for answer in answers)
    with pytest.raises(Closed):
        served.ask(STORY, SETTINGS[0])


def test_closing_without_grace_leaves_nobody_waiting(open_served):
    served = open_served()
    answer = served.ask(STORY, ENDLESS)
    assert not served.close(0)
    with pytest.raises(Failed, match="stopped"):
        answer.result(5)


def test_an_idle_worker_does_nothing(open_served):
    served = open_served()
    served.ask(STORY, SETTINGS[0]).result(20)
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.2


def test_models_that_our_engine_does_not_run_are_refused(foreigners):
    from rot5.serve.settings import ServerConfig

    with pytest.raises(UserError, match="bart model that cannot be served"):
        Served.open(str(foreigners / "bart"), ServerConfig())
    served = Served.open(str(foreigners / "t5"), ServerConfig())
    assert served.ask(STORY, GenerateConfig(max_new_tokens=5)).result(20) is not None
    served.close(0)
