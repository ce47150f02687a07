"""`rot5 completion`: scripts for shells that complete verbs, their settings and what these may be."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import NamedTuple, get_args, get_type_hints

from rot5 import config as settings_of_verbs
from rot5.commands import CONTINUABLE, CONTINUING, SWITCHES, VERBS
from rot5.config import (
    BenchConfig,
    CompletionConfig,
    DemoConfig,
    DistillConfig,
    EvaluateConfig,
    FinetuneConfig,
    MixConfig,
    PlanConfig,
    PrepareConfig,
    SortConfig,
    StoriesConfig,
    SummarizeConfig,
    TeachConfig,
)
from rot5.data import parts, sources
from rot5.errors import UserError, nearest
from rot5.generate.settings import PRECISIONS, GenerateConfig
from rot5.model.presets import PRESETS
from rot5.model.settings import ModelConfig
from rot5.train import settings as train

CHOICES: Mapping[tuple[type, str], tuple[str, ...]] = {
    (StoriesConfig, "split"): ("train", "test", "held_out"),
    (StoriesConfig, "format"): ("text", "instruct", "jsonl"),
    (PrepareConfig, "tokenizer"): ("mistral",),
    (sources.SourceConfig, "name"): sources.NAMES,
    (sources.SourceConfig, "format"): sources.FORMATS,
    (sources.SourceConfig, "text"): sources.TEXTS,
    (sources.SourceConfig, "split"): sources.SPLITS,
    (parts.PartsConfig, "executor"): parts.EXECUTORS,
    (parts.PartsConfig, "duplicates"): parts.DUPLICATES,
    (MixConfig, "tokenizer"): ("mistral",),
    (MixConfig, "split"): sources.SPLITS,
    (MixConfig, "format"): ("plain", "shots", "rationale"),
    (SortConfig, "by"): ("length", "vocabulary", "loss"),
    (PlanConfig, "preset"): ("all", *PRESETS),
    (PlanConfig, "law"): ("chinchilla",),
    (PlanConfig, "hardware"): ("A100-80GB", "H100-SXM", "H200", "RTX-4090", "L4", "here"),
    (PlanConfig, "optimizer"): train.OPTIMIZER_NAMES,
    (ModelConfig, "preset"): tuple(PRESETS),
    (ModelConfig, "parametrization"): ("rot5", "t5"),
    (ModelConfig, "position_encoding"): ("rope", "relative_bias"),
    (ModelConfig, "cross_position_encoding"): ("none", "aligned", "continuous"),
    (ModelConfig, "attention_backend"): ("auto", "sdpa", "per_document", "flex_attention", "varlen", "eager"),
    (FinetuneConfig, "mode"): ("R", "S", "X", "none"),
    (DistillConfig, "method"): ("forward_kl", "reverse_kl", "likelihood"),
    (DistillConfig, "teacher_precision"): train.PRECISION_NAMES,
    (TeachConfig, "precision"): PRECISIONS,
    (EvaluateConfig, "precision"): PRECISIONS,
    (SummarizeConfig, "precision"): PRECISIONS,
    (GenerateConfig, "precision"): PRECISIONS,
    (train.OptimizerConfig, "name"): train.OPTIMIZER_NAMES,
    (train.ScheduleConfig, "name"): train.SCHEDULE_NAMES,
    (train.TrainConfig, "precision"): train.PRECISION_NAMES,
    (train.TrainConfig, "compile"): train.COMPILE_NAMES,
    (train.TrainConfig, "parallel"): train.PARALLEL_NAMES,
    (BenchConfig, "preset"): tuple(PRESETS),
    (BenchConfig, "what"): (
        "train", "memory", "moe", "decode", "data", "time-to-loss", "growth", "plan", "checkpoint", "serve", "page"
    ),
    (DemoConfig, "size"): ("full", "smoke"),
    (CompletionConfig, "shell"): ("bash", "zsh", "fish"),
}  # fmt: skip
"""What a setting may be, in its class and in those that inherit it."""

ALSO_PATHS = {
    (PrepareConfig, "tokenizer"),
    (sources.SourceConfig, "name"),
    (MixConfig, "tokenizer"),
    (PlanConfig, "law"),
}
"""Settings among these that may be a file or a folder instead."""

SWITCH = ("true", "false")


class Flag(NamedTuple):
    """A setting of a verb: its dotted key, the words that it may be, and whether it may be a path."""

    key: str
    choices: tuple[str, ...]
    is_path: bool


def run(config: CompletionConfig) -> None:
    """Print the script."""
    if config.shell not in SCRIPTS:
        raise UserError(f"unknown shell {config.shell!r}: {nearest(config.shell, SCRIPTS)}")
    print(SCRIPTS[config.shell](), end="")


def flags(verb: str) -> list[Flag]:
    """All that may stand behind a verb, in the order of its help."""
    found = [Flag("config", (), True), *_of_class(getattr(settings_of_verbs, VERBS[verb].settings))]
    switches = SWITCHES if verb in CONTINUABLE else ("resume",) if verb in CONTINUING else ()
    return [*found, *(Flag(key, SWITCH, False) for key in switches), Flag("help", (), False)]


def _of_class(config_class: type, prefix: str = "") -> Iterator[Flag]:
    hints = get_type_hints(config_class)
    for entry in fields(config_class):
        kind, key = hints[entry.name], prefix + entry.name
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield from _of_class(kind, f"{key}.")
            continue
        own = next(((each, entry.name) for each in config_class.__mro__ if (each, entry.name) in CHOICES), None)
        # A text that is none of few words is a path, or nothing that could be completed.
        is_path = own in ALSO_PATHS if own else kind is str or str in get_args(kind)
        yield Flag(key, CHOICES[own] if own else SWITCH if kind is bool else (), is_path)


def bash() -> str:
    """For bash: a function without programs of its own, so that it answers at once."""
    keys, values, bare, paths = [], defaultdict(list), [], []
    for name, verb in VERBS.items():
        known = flags(name)
        keys.append(f"    {name}) keys={' '.join('--' + flag.key for flag in known)!r} ;;")
        for flag in known:
            if flag.choices:
                values[flag.choices].append(f"{name}:--{flag.key}")
            if flag.is_path:
                paths.append(f"{name}:--{flag.key}")
        if verb.bare:
            bare.append(f"    {name}) setting=--{verb.bare} ;;")
    cases = [f"    {'|'.join(places)}) words='{' '.join(words)}' ;;" for words, places in values.items()]
    return BASH.format(
        verbs=" ".join([*VERBS, "help"]),
        keys="\n".join(keys),
        bare="\n".join(bare),
        choices="\n".join(cases),
        paths="|".join(paths),
    )


BASH = """\
_rot5() {{
  local verb=${{COMP_WORDS[1]}} current=${{COMP_WORDS[COMP_CWORD]}} setting=${{COMP_WORDS[COMP_CWORD-1]}}
  local keys='' words=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ] || {{ [ "$COMP_CWORD" -eq 2 ] && [ "$verb" = help ]; }}; then
    COMPREPLY=($(compgen -W '{verbs}' -- "$current"))
    return
  fi
  # Bash cuts `--setting=value` into three words.
  if [ "$current" = = ]; then
    current=''
  elif [ "$setting" = = ]; then
    setting=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case $verb in
{bare}
    esac
  fi
  case $verb in
{keys}
  esac
  case $current in
    -*)
      COMPREPLY=($(compgen -W "$keys" -- "$current"))
      return ;;
  esac
  case $verb:$setting in
{choices}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  case $verb:$setting in
    {paths})
      compopt -o filenames 2>/dev/null
      local IFS=$'\\n'
      COMPREPLY+=($(compgen -f -- "$current")) ;;
  esac
}}
complete -F _rot5 rot5
"""


def zsh() -> str:
    """For zsh, which runs functions of bash."""
    return f"autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n{bash()}"


def fish() -> str:
    """For fish: a line for each setting."""
    lines = ["complete -c rot5 -f", f"set -l verbs {' '.join([*VERBS, 'help'])}"]
    for name, verb in VERBS.items():
        lines.append(f'complete -c rot5 -n "not __fish_seen_subcommand_from $verbs" -a {name} -d {verb.summary!r}')
        for flag in flags(name):
            words = f" -a '{' '.join(flag.choices)}'" if flag.choices else ""
            takes = "" if flag.key == "help" else " -r -F" if flag.is_path else " -x"
            seen = f'-n "__fish_seen_subcommand_from {name}"'
            lines.append(f"complete -c rot5 {seen} -l {flag.key}{takes}{words}")
            if flag.key == verb.bare and (words or flag.is_path):
                lines.append(f"complete -c rot5 {seen}{' -F' if flag.is_path else ''}{words}")
    return "\n".join(lines) + "\n"


SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
