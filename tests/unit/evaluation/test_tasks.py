"""Answers to tasks, judged each by its own measure."""

import pytest

from rot5.data.sources import Pair
from rot5.evaluation.tasks import exact, f1, score_tasks


def pair(task: str, metric: str, *answers: str) -> Pair:
    return Pair("q", answers[0], answers, 0, task, metric)


@pytest.mark.parametrize(
    ("answer", "answers", "right", "words"),
    [
        ("The pond.", ["pond"], 100, 100),
        ("pond", ["lake", "the Pond"], 100, 100),
        ("at the pond", ["pond"], 0, 200 / 3),
        ("", ["pond"], 0, 0),
        ("red red", ["red"], 0, 200 / 3),
        ("", ["A"], 0, 0),
        ("B", ["A"], 0, 0),
        ("a.", ["A"], 100, 100),
    ],
)
def test_answers_are_compared_as_squad_does(answer, answers, right, words):
    assert exact(answer, answers) == right
    assert f1(answer, answers) == pytest.approx(words)


def test_each_task_has_its_measure_and_rationales_do_not_count():
    pairs = [
        pair("b/who", "exact", "Tim"),
        pair("b/who", "exact", "Ella"),
        pair("a/summary", "rouge", "Tim ran home."),
        pair("a/question", "f1", "the pond", "a lake"),
    ]
    told = score_tasks(
        pairs, ["Tim ran. So the answer is: Tim", "Tim", "Tim ran home", "It fell. The answer is: lake."]
    )
    assert list(told) == ["a/question", "a/summary", "b/who"]
    assert [each["score"]["mean"] for each in told.values()] == [100, 100, 50]
    assert told["b/who"]["examples"] == 2 and told["b/who"]["score"]["low"] == 0
    assert [each["metric"] for each in told.values()] == ["f1", "rouge", "exact"]
