"""The command line: a table of verbs, each imported only when it is called."""

import errno
import importlib
import os
import sys
from typing import NamedTuple

from rot5 import __version__
from rot5.errors import UserError, nearest
from rot5.stopping import Stopped, stop_at_once


class Verb(NamedTuple):
    """A verb's settings class in `rot5.config`, its module, and the setting that a bare first argument gives."""

    settings: str
    module: str
    bare: str | None
    summary: str


VERBS = {
    "demo": Verb("DemoConfig", "rot5.demo", None, "everything in one go, with a report at the end"),
    "stories": Verb("StoriesConfig", "rot5.verbs.stories", "count", "records of StoryWorld as text"),
    "prepare": Verb("PrepareConfig", "rot5.verbs.prepare", "source.name", "text or pairs into a corpus"),
    "mix": Verb("MixConfig", "rot5.verbs.mix", "mixture", "tasks and templates into pairs, for instruction tuning"),
    "sort": Verb("SortConfig", "rot5.verbs.sort", "corpus", "a corpus cut into parts from easy to hard"),
    "overlap": Verb("OverlapConfig", "rot5.verbs.overlap", "validation", "what validation texts share with training"),
    "plan": Verb("PlanConfig", "rot5.verbs.plan", "preset", "what a model costs: parameters and operations"),
    "pretrain": Verb("PretrainConfig", "rot5.verbs.pretrain", None, "a model from scratch on denoising"),
    "finetune": Verb("FinetuneConfig", "rot5.verbs.finetune", None, "a model tuned on (text, summary) pairs"),
    "distill": Verb("DistillConfig", "rot5.verbs.distill", None, "a model tuned on what a teacher holds likely"),
    "teach": Verb("TeachConfig", "rot5.verbs.teach", "teacher", "pairs whose targets a teacher has written"),
    "evaluate": Verb("EvaluateConfig", "rot5.verbs.evaluate", "model", "likelihood and summaries of a model or a file"),
    "judge": Verb("JudgeConfig", "rot5.verbs.judge", "model", "completed stories, measured and graded"),
    "summarize": Verb("SummarizeConfig", "rot5.verbs.summarize", "input", "a summary of your own text"),
    "inspect": Verb("InspectConfig", "rot5.verbs.inspect", "model", "a look inside a model at work on a text"),
    "generate": Verb("GenerateTextConfig", "rot5.verbs.generate", "input", "what a model writes behind your own text"),
    "stages": Verb("StagesConfig", "rot5.stages", "file", "a model trained in stages, each from the last"),
    "study": Verb("StudyConfig", "rot5.study.run", "file", "variants compared at matched budgets, over seeds"),
    "export": Verb("ExportConfig", "rot5.verbs.export", "model", "a model as a folder for transformers"),
    "report": Verb("ReportConfig", "rot5.verbs.report", "folder", "one HTML page about a run or a folder of runs"),
    "doctor": Verb("DoctorConfig", "rot5.verbs.doctor", "folder", "what is the matter with a run, and what to do"),
    "bench": Verb("BenchConfig", "rot5.bench.run", "what", "speed and memory, measured here"),
}
"""Handlers are `run(settings)`; those that can be taken up are `run(settings, resume=…, overwrite=…)`."""

CONTINUABLE = ("prepare", "mix", "pretrain", "finetune", "distill", "teach")
CONTINUING = ("evaluate", "judge", "stages", "study")
"""Verbs that, called again, do what is missing and nothing twice: `--resume` goes without saying."""


SPREAD = ("pretrain", "finetune", "evaluate")
"""Verbs that several processes, which torchrun starts, do together."""


def usage() -> str:
    """What `rot5 --help` prints."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            f"rot5 {__version__}: small encoder-decoder language models, from text to a tuned summarizer",
            "",
            "usage: rot5 VERB [--config RECIPE.yaml] [--setting value ...]",
            "",
            *lines,
            "",
            f"`rot5 VERB --help` lists a verb's settings. {', '.join(CONTINUABLE)}: --resume, --overwrite.",
        ]
    )


def run(argv: list[str]) -> None:
    """Run one verb. Raises UserError for what the user can mend."""
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
    if verb.bare and rest and (rest[0] == "-" or not rest[0].startswith("-")):
        rest = [f"--{verb.bare}={rest[0]}", *rest[1:]]
    switches = {}
    if name in CONTINUABLE and not {"-h", "--help"} & set(rest):
        for key in ("resume", "overwrite"):
            switches[key], rest = _switch(key, rest)
    if name in CONTINUING:
        _, rest = _switch("resume", rest)
    settings_class = getattr(importlib.import_module("rot5.config"), verb.settings)
    settings = importlib.import_module("rot5.recipes").read(settings_class, name, rest)
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
    """Entry point: exit code 0, or 2 and one line on standard error for a user's mistake; 130 and 143 when stopped."""
    stop_at_once()
    try:
        run(sys.argv[1:])
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
