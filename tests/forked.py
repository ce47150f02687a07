"""Commands in processes of their own that need not import anything: forked from one that has."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

import rot5.study.run
import rot5.verbs.evaluate
import rot5.verbs.finetune
import rot5.verbs.prepare
import rot5.verbs.pretrain  # noqa: F401 (imported before the fork)
from rot5 import cli
from rot5.stopping import SIGNALS, Stopped, stop_at_once


def start(words: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> int:
    """Call `rot5` in a folder, where `log.txt` gets what it says; the number of the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return child
    code = 1
    try:
        stop_at_once()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.environ |= environment or {}
        os.chdir(folder)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.argv = ["rot5", *words]
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except Stopped as stop:
        code = stop.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # a signal that comes here must not unwind what belongs to the parent
            os._exit(code)


def call(words: list[str], folder: Path, after: float | None = None, by: int = signal.SIGKILL) -> tuple[int, float]:
    """Call `rot5` in a folder and send it a signal after so many seconds; exit status, and seconds it ran."""
    began = time.monotonic()
    child = start(words, folder)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        if after is not None and time.monotonic() - began >= after:
            os.kill(child, by)
            after = None
        time.sleep(0.002)
