"""Several models that answer one text side by side: what each has written so far, how long it took and how fast."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rot5.errors import UserError
from rot5.generate.settings import GenerateConfig
from rot5.serve.models import Answer, Failed, Served
from rot5.serve.worker import Closed, Full

SECONDS_BETWEEN = 0.1
"""Between two looks at what was written: a page can show no more."""


@dataclass
class Column:
    """What one model has written so far."""

    name: str
    text: str = ""
    tokens: int = 0
    seconds: float = 0.0
    """Since the models were asked; at the end, until the last token."""
    done: bool = False
    error: str = ""
    """A sentence for whoever asked, where the model could not answer."""

    @property
    def speed(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds if self.seconds else 0.0


def side_by_side(
    served: Sequence[Served], text: str, settings: GenerateConfig, prefix: str | None = None
) -> Iterator[list[Column]]:
    """Ask all models at once and yield their columns, the same objects each time, until all are done.

    When the iterator is closed before, the answers are cancelled. What a model refuses stands in its column alone.
    """
    columns = [Column(model.name) for model in served]
    news: queue.Queue[None] = queue.Queue()
    start, answers = time.monotonic(), []
    try:
        for model, column in zip(served, columns, strict=True):
            try:
                answer = model.ask(text, settings, prefix)
            except (UserError, Full, Closed) as error:
                column.error, column.done = sentence(error), True
                continue
            answers.append(answer)
            threading.Thread(target=_follow, args=(answer, column, start, news), daemon=True).start()
        yield columns
        finished = False
        while not finished:
            deadline = time.monotonic() + SECONDS_BETWEEN
            while (left := deadline - time.monotonic()) > 0 and not all(column.done for column in columns):
                try:
                    news.get(timeout=left)
                except queue.Empty:
                    break
            finished = all(column.done for column in columns)  # before they are shown: they may end meanwhile
            for column in columns:
                if not column.done:
                    column.seconds = time.monotonic() - start
            yield columns
    finally:
        for answer in answers:
            answer.cancel()


def sentence(error: Exception) -> str:
    """What an exception says to whoever asked, as a sentence.

    >>> sentence(ValueError("no model: name one"))
    'No model: name one.'
    """
    words = str(error).strip()
    return f"{words[:1].upper()}{words[1:].rstrip('.')}." if words else "It did not work."


def _follow(answer: Answer, column: Column, start: float, news: queue.Queue[None]) -> None:
    """Take an answer as it comes."""
    try:
        for piece in answer:
            column.text += piece
            column.tokens = answer.new_tokens
            news.put(None)
    except Failed as error:
        column.error = sentence(error)
    finally:
        column.tokens, column.seconds, column.done = answer.new_tokens, time.monotonic() - start, True
        news.put(None)
