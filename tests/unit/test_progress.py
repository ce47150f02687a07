"""Progress shows on a terminal alone, and never on standard output."""

import os
import pty
import subprocess
import sys

import pytest

from rot5.progress import counted, shown

PROGRAM = """
from rot5.progress import counted, shown
for number in counted(range(3), "reading", 3):
    print(number)
with shown("thinking") as tell:
    tell(7)
"""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_progress_and_a_pipe_nothing(terminal):
    reader, writer = pty.openpty() if terminal else os.pipe()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=writer, env=environment)
    os.close(writer)
    said = b""
    try:
        while more := os.read(reader, 1 << 16):
            said += more
    except OSError:  # the end of a terminal
        pass
    os.close(reader)
    assert done.stdout == b"0\n1\n2\n"
    if terminal:
        assert b"reading" in said and b"3/3" in said and b"thinking" in said and b"7" in said
    else:
        assert said == b""


def test_items_come_through_and_an_early_end_is_no_error(capfd):
    assert list(counted(iter("abc"), "letters")) == ["a", "b", "c"]
    assert next(counted([1, 2], "numbers", 2)) == 1
    with pytest.raises(KeyError), shown("failing"):
        raise KeyError
    assert capfd.readouterr() == ("", "")
