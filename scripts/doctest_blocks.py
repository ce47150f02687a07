"""Doctests in docstrings as blocks of code: an extension of griffe, which reads docstrings for the reference."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


def fenced(docstring: str) -> str:
    """A docstring whose doctests, from a prompt to the next empty line, stand between fences."""
    return DOCTEST.sub(lambda found: f"```pycon\n{found[0]}\n```", docstring)


class DoctestBlocks(griffe.Extension):
    """Puts fences around doctests."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """What griffe calls for each object that it has read."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
