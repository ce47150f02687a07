"""The command line: a table of verbs, each imported only when it is called."""

import errno
import importlib
import itertools
import json
import os
import signal
import sys

from rot5 import __version__
from rot5.commands import CONTINUABLE, CONTINUING, GROUPS, SPREAD, SWITCHES, VERBS
from rot5.errors import UserError, nearest
from rot5.stopping import Stopped, stop_at_once


def usage() -> str:
    """What `rot5 --help` prints."""
    width = max(map(len, VERBS))
    lines = []
    for group in GROUPS:
        lines += ["", f"{group}:"]
        lines += [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items() if verb.group == group]
    return "\n".join(
        [
            f"rot5 {__version__}: small encoder-decoder language models, from text to a tuned summarizer",
            "",
            "usage: rot5 VERB [--config RECIPE.yaml] [--setting value ...]",
            *lines,
            "",
            f"`rot5 VERB --help` lists its settings, with examples. {', '.join(CONTINUABLE)}: --resume, --overwrite.",
        ]
    )


def _closing(name: str) -> str:
    """What stands at the end of a verb's help."""
    lines = [""]
    if name in CONTINUABLE:
        lines += ["also:", *(f"  --{key:<20}  {meaning}" for key, meaning in SWITCHES.items()), ""]
    return "\n".join([*lines, "examples:", *(f"  {example}" for example in VERBS[name].examples), ""])


def run(argv: list[str]) -> None:
    """Run one verb. Raises UserError for what the user can mend."""
    if argv[:1] == ["help"] and len(argv) == 2:
        argv = [argv[1], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if argv[0] == "--version":
        print(__version__)
        return
    name, rest = argv[0], argv[1:]
    if name not in VERBS:
        raise UserError(f"unknown verb {name!r}: {nearest(name, VERBS)}")
    verb = VERBS[name]
    bare = list(itertools.takewhile(lambda word: word == "-" or not word.startswith("-"), rest))
    if verb.bare and bare:
        count = len(bare) if verb.several else 1
        rest = [f"--{verb.bare}={json.dumps(bare) if verb.several else bare[0]}", *rest[count:]]
    switches = {}
    if name in CONTINUABLE and not {"-h", "--help"} & set(rest):
        for key in SWITCHES:
            switches[key], rest = _switch(key, rest)
    if name in CONTINUING:
        _, rest = _switch("resume", rest)
    settings_class = getattr(importlib.import_module("rot5.config"), verb.settings)
    read = importlib.import_module("rot5.recipes").read
    settings = read(settings_class, name, rest, closing=_closing(name), example=verb.examples[0])
    if name not in SPREAD:
        if _beside_others():
            raise UserError(f"{name} runs in one process: call it without torchrun ({', '.join(SPREAD)} take several)")
        importlib.import_module(verb.module).run(settings, **switches)
        return
    with importlib.import_module("rot5.ranks").joined():
        importlib.import_module(verb.module).run(settings, **switches)


def _switch(key: str, arguments: list[str]) -> tuple[bool, list[str]]:
    """Whether `--key`, `--key true` or `--key=true` is among the arguments, and the other arguments.

    >>> _switch("resume", ["--out", "run", "--resume"]), _switch("resume", ["--resume", "false", "--seed", "1"])
    ((True, ['--out', 'run']), (False, ['--seed', '1']))
    """
    on, others, position = False, [], 0
    while position < len(arguments):
        name, _, value = arguments[position].partition("=")
        position += 1
        if name != f"--{key}":
            others.append(arguments[position - 1])
            continue
        if not value and arguments[position : position + 1] in (["true"], ["false"]):
            value, position = arguments[position], position + 1
        if value not in ("", "true", "false"):
            raise UserError(f"--{key} is true or false, not {value!r}")
        on = value != "false"
    return on, others


def _beside_others() -> bool:
    """Whether torchrun has started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _is_of_peers(error: RuntimeError) -> bool:
    """Whether an error is that other processes cannot be reached: torch has no one class for it."""
    return type(error).__module__.startswith("torch.distributed") or any(
        word in str(error) for word in ("gloo", "Connection reset by peer", "NCCL")
    )


def main() -> None:
    """Entry point: exit code 0, or 2 and one line on standard error for a user's mistake; 130 and 143 when stopped; 141
    when nobody reads on."""
    stop_at_once()
    try:
        run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, `head` for example, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except UserError as error:
        if type(error) is UserError:
            print(f"rot5: error: {error}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if not (_beside_others() and _is_of_peers(error)):
            raise
        words = "the other processes are gone or do not answer: see which one ended first, then go on with --resume"
        print(f"rot5: error: process {os.environ.get('RANK')}: {words}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.strerror is None or (error.filename is None and error.errno != errno.ENOSPC):
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"rot5: error: {where}{error.strerror}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        print(f"rot5: {stop if isinstance(stop, Stopped) else 'interrupted'}", file=sys.stderr)
        sys.exit(stop.exit_code if isinstance(stop, Stopped) else 130)


if __name__ == "__main__":
    main()
