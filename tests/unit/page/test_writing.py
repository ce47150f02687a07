"""Models side by side: all of them at once, each with its own end, and given up when nobody reads on."""

import threading
import time

from rot5.errors import UserError
from rot5.generate.settings import GenerateConfig
from rot5.page.writing import side_by_side
from rot5.serve.models import Failed
from rot5.serve.worker import Full


class Answer:
    """Words that come when they are let."""

    def __init__(self, *words: str, failure: str = ""):
        self.words, self.failure = words, failure
        self.gate, self.cancelled, self.new_tokens = threading.Event(), False, 0

    def __iter__(self):
        for word in self.words:
            self.new_tokens += 1
            yield word
        self.gate.wait(10)
        if self.failure:
            raise Failed(self.failure)

    def cancel(self):
        self.cancelled = True
        self.gate.set()


class Model:
    def __init__(self, name, answer):
        self.name, self.answer = name, answer

    def ask(self, text, settings, prefix):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def columns_of(*models, until):
    for columns in side_by_side(models, "text", GenerateConfig()):
        if until(columns):
            return columns
    raise AssertionError("all models are done")


def test_each_model_writes_by_itself():
    quick, slow = Answer("One", " two"), Answer("Three")
    quick.gate.set()
    models = [Model("quick", quick), Model("slow", slow)]
    columns = columns_of(*models, until=lambda columns: columns[0].done and columns[1].text)
    assert [column.text for column in columns] == ["One two", "Three"] and not columns[1].done
    assert columns[0].tokens == 2 and columns[0].speed == 2 / columns[0].seconds


def test_what_one_model_refuses_stands_in_its_column():
    good, broken = Answer("One"), Answer("Two", failure="the model failed")
    good.gate.set()
    broken.gate.set()
    models = [
        Model("good", good), Model("broken", broken), Model("full", Full(3)), Model("long", UserError("too long"))
    ]  # fmt: skip
    *_, columns = side_by_side(models, "text", GenerateConfig())
    assert [column.error for column in columns] == [
        "", "The model failed.", "All places are taken: try again in 3 s.", "Too long."]  # fmt: skip
    assert all(column.done for column in columns)


def test_the_end_is_shown_even_if_it_comes_while_something_is_shown():
    answer, shown = Answer("One"), []
    for columns in side_by_side([Model("a", answer)], "text", GenerateConfig()):
        shown.append(columns[0].done)
        if len(shown) == 2:
            answer.gate.set()
            while not columns[0].done:
                time.sleep(0.01)
    assert shown[-1] is True


def test_closing_gives_all_answers_up():
    answers = [Answer("One"), Answer("Two")]
    writing = side_by_side([Model("a", answers[0]), Model("b", answers[1])], "text", GenerateConfig())
    next(writing)
    writing.close()
    assert all(answer.cancelled for answer in answers)
