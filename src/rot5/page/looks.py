"""What the tab of the look inside does: a bounded look at a served model, kept in memory for whoever asked."""

import io
import secrets
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rot5.inspect.files import ARRAYS, JSON, arrays, as_json, told
from rot5.inspect.look import look
from rot5.inspect.passage import as_subject, read_passage
from rot5.inspect.settings import AttributionConfig, NeuronConfig
from rot5.loading import Loaded
from rot5.report.html import Html, element, join
from rot5.report.inside import write_inside
from rot5.serve.texts import whole_text

STEPS, LEAVE_OUT = 16, 128
"""Points of integrated gradients, where they are asked for, and the longest text in words of which each is left out."""
LONGEST_ANSWER = 96
KEPT = 8
"""Looks that can be read and fetched; an older one is forgotten."""

PATH = "looks"
"""Where looks are fetched, beside the page."""
PAGE = "inside.html"
TYPES = {PAGE: "text/html; charset=utf-8", JSON: "application/json", ARRAYS: "application/octet-stream"}
"""The files of a look, and what they are sent as."""


class Look(NamedTuple):
    """What the model wrote, and the files of the look by name."""

    answer: str
    files: dict[str, bytes]


def look_inside(name: str, loaded: Loaded, text: str, integrated: bool) -> Look:
    """A look at a model that reads the text and writes its answer.

    Integrated gradients take some ten times as long as all else.
    Raises UserError for a model that cannot be looked into, and for a text or an answer that is too long.
    """
    subject = as_subject(name, loaded)
    passage = read_passage(subject, text, max_new_tokens=LONGEST_ANSWER)
    inside = look(
        subject,
        passage,
        attribution=AttributionConfig(steps=STEPS if integrated else 0, leave_out=LEAVE_OUT),
        neurons=NeuronConfig(),
        max_new_tokens=LONGEST_ANSWER,
    )
    figures, maps = told(inside), arrays(inside)
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **maps)
    with tempfile.TemporaryDirectory() as folder:
        page = write_inside(Path(folder), figures, maps).read_bytes()
    data = as_json(figures).encode("utf-8", errors="replace")
    answer = whole_text(loaded.tokenizer, passage.target.ids)
    return Look(answer, {PAGE: page, JSON: data, ARRAYS: packed.getvalue()})


def look_html(name: str, found: Look) -> Html:
    """The page of the look in a frame of its own, which can reach nothing, and its files to fetch."""
    links = [
        element("li", element("a", f"{file}, {_size(content)}", href=f"{PATH}/{name}/{file}", download=file))
        for file, content in found.files.items()
    ]
    opened = element("a", "Open the page by itself", href=f"{PATH}/{name}/{PAGE}", target="_blank")
    return join(
        [
            element("p", "Done.", class_="note", role="status"),
            element("p", found.answer or "(nothing)", class_="read", dir="auto"),
            element("ul", element("li", opened), *links, class_="files"),
            element(
                "iframe",
                src=f"{PATH}/{name}/{PAGE}",
                title="The look inside",
                sandbox="allow-scripts",
                class_="look",
            ),
        ]
    )


def _size(content: bytes) -> str:
    return f"{len(content) / 1e6:.1f} MB" if len(content) >= 1e6 else f"{len(content) / 1e3:,.0f} kB"


class Shelf:
    """The newest looks, each under a name that cannot be guessed."""

    def __init__(self, kept: int = KEPT):
        self._kept = kept
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, found: Look) -> str:
        """Keep a look and return its name; the oldest one goes where there are too many."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._looks[name] = found
            while len(self._looks) > self._kept:
                self._looks.popitem(last=False)
        return name

    def file(self, name: str, file: str) -> bytes | None:
        """A file of a look; None where there is no such look any more, or no such file."""
        with self._lock:
            found = self._looks.get(name)
        return None if found is None else found.files.get(file)
