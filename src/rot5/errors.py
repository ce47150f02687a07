"""The one exception a user ever sees: a mistake of theirs, said in one line."""

import difflib
from collections.abc import Iterable

LONGEST = 2000
"""Characters of a complaint; what it quotes of a file may have more."""


class UserError(ValueError):
    """A mistake the user can mend. The command line prints it, which is one line, and exits with code 2.

    What a terminal would act on, quoted from a file perhaps, is spelled out.
    """

    def __init__(self, complaint: str) -> None:
        line = "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode()
            for each in " ".join(complaint.splitlines())
        )
        super().__init__(line if len(line) <= LONGEST else f"{line[:LONGEST]} …")


def nearest(word: str, known: Iterable[str]) -> str:
    """A closing phrase that names the known word nearest to `word`, or lists what is known.

    >>> nearest("mimi", ["mini", "demo"])
    'did you mean mini?'
    >>> nearest("zzz", ["mini", "demo"])
    'known: demo, mini'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
