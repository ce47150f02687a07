"""What a user may set: the rooms' settings composed into one object per verb, read from YAML and flags, and checked."""

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from rot5.data.denoise import DenoiseConfig
from rot5.data.packing import PackConfig
from rot5.data.sources import SourceConfig
from rot5.errors import UserError, nearest
from rot5.model.settings import ModelConfig
from rot5.train.settings import TrainConfig


@dataclass(frozen=True, kw_only=True)
class StoriesConfig:
    """Records of StoryWorld as text."""

    count: int = 1
    """How many."""
    split: str = "held_out"
    """train, test or held_out (compositions that the others never show)."""
    seed: int = 0
    """Seed of the world."""
    format: str = "text"
    """text (stories alone), instruct (TinyStories-Instruct records) or jsonl (everything, with the facts)."""
    out: str = "-"
    """File to write, or - for standard output."""


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Text into a corpus: token shards, offsets and a manifest."""

    source: SourceConfig
    """Where the text comes from."""
    out: str
    """Folder to write; replaced if it is a corpus already and `overwrite` is set."""
    pairs: bool = False
    """Prepare (text, summary) pairs for tuning instead of text for pretraining."""
    tokenizer: str = "mistral"
    """`mistral`, or a folder (a prepared corpus counts) whose tokenizer is taken over."""
    prune: bool = False
    """Keep only the pieces that this text uses: for small models, whose embedding would be most of them."""
    num_sentinels: int = 500
    """Sentinels [MASK-0], [MASK-1], … of a tokenizer made here."""
    overwrite: bool = False
    """Replace a corpus that is already there."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """What a model costs before anything is trained: parameters and operations; with `tokens`, time and memory of
    training it; with `flops`, or `tokens` without a preset, which size is best."""

    preset: str = "all"
    """Shape of the model; all lists every preset."""
    encoder_length: int = 512
    """Encoder tokens of a document."""
    decoder_length: int = 256
    """Decoder tokens of a document."""
    vocab_size: int = 0
    """Ids of the tokenizer; 0 for those that the preset's size is stated for."""
    tokens: float = 0.0
    """Story tokens to train on: what that takes, or, without a preset, the size for so much text."""
    flops: float = 0.0
    """Training operations to spend: the best size and amount of text for them."""
    law: str = "chinchilla"
    """Law of size: chinchilla, or a JSON file with laws that were fitted, which is then shown beside it."""
    hardware: str = "A100-80GB"
    """What to train on: A100-80GB, H100-SXM, H200, RTX-4090, L4, or here, which measures this machine first."""
    devices: int = 1
    """How many of them, each with rows of its own."""
    price_per_hour: float = 0.0
    """Price of one device."""
    batch_rows: int = 16
    """Packed rows that each device takes in a step."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    document_length: int = 230
    """Story tokens of a document."""
    optimizer: str = "adamw"
    """adamw, adamw_rms, adafactor or muon."""
    checkpointing: bool = False
    """Keep each layer's input alone and make the rest again in the backward pass."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """A model from scratch on denoising."""

    corpus: str
    """Folder of the prepared training corpus."""
    validation: str
    """Folder of the prepared validation corpus."""
    out: str
    """Run folder to write."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The model's shape."""
    denoise: DenoiseConfig = field(default_factory=DenoiseConfig)
    """The objective."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training loop."""
    seed: int = 0
    """Of initialisation, data order, denoising and dropout."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """A pretrained (or new) model tuned on pairs."""

    pairs: str
    """Folder of the prepared training pairs."""
    validation: str
    """Folder of the prepared validation pairs."""
    out: str
    """Run folder to write."""
    init: str = ""
    """Run or model folder to start from; empty for a new model of the shape below."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The shape of a new model; ignored with `init`."""
    mode: str = "S"
    """Mode token before each input: R, S, X, or none."""
    limit: int = 0
    """Tune on the first so many pairs alone; 0 for all."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """The training loop."""
    summaries: int = 300
    """Validation summaries written and scored at the end."""
    max_new_tokens: int = 96
    """Longest summary, in tokens."""
    seed: int = 0
    """Of initialisation, data order and dropout."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Scores of a model, or of texts that somebody else wrote, on prepared data; into `eval.json`."""

    model: str = ""
    """Run folder, model folder or hub name; empty with `predictions`."""
    data: str = ""
    """Folder of a prepared corpus (likelihood per denoiser) or of pairs (likelihood, summaries); default: the run's
    own validation data."""
    predictions: str = ""
    """Summaries of all pairs, or of the first `summaries`, to score in place of a model's: JSON lines with
    `prediction`, or a text a line."""
    against: str = ""
    """A file like `predictions` whose summaries are compared with the others, pair by pair."""
    summaries: int = 300
    """Summaries written and scored, of pairs."""
    max_new_tokens: int = 96
    """Longest summary, in tokens."""
    num_beams: int = 1
    """1 is greedy decoding."""
    original_rouge: bool = False
    """Also ROUGE of lemmas without stop words, as the ROT5 of 2024 was judged by."""
    objective: str = ""
    """Run folder whose denoisers and rows mask a text corpus; default: the model's own, or else UL2's."""
    out: str = ""
    """Folder for eval.json and samples.jsonl; default: the run folder."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """Openings of stories completed by a model, measured, and graded by a large language model; a re-run asks nothing
    twice, and without a judge nothing is asked at all."""

    model: str
    """Run folder, model folder or hub name; an encoder-decoder or a causal language model."""
    prompts: str
    """File of openings: JSON lines with `opening` and, together, `kind` and `instruction`."""
    out: str
    """Folder for completions.jsonl, answers.jsonl, grades.jsonl and judge.json; the same one continues."""
    judge_url: str = ""
    """What stands before /chat/completions at the judge's server; the key comes from the variable ROT5_JUDGE_KEY. Empty
    for measures without a judge."""
    judge_model: str = ""
    """The judge's name on that server."""
    training: str = ""
    """Folder of the prepared corpus that the model was trained on: how much of the completions stands in it."""
    samples: int = 10
    """Completions of each opening."""
    temperature: float = 1.0
    """Of the completions; the judge is asked at 0."""
    max_new_tokens: int = 200
    """Longest completion, in tokens."""
    seed: int = 0
    """Of the completions."""
    price_in: float = 0.0
    """Price of a million tokens sent, for the estimate."""
    price_out: float = 0.0
    """Price of a million tokens answered."""
    max_cost: float = 0.0
    """Ask nothing if the estimate is above it; 0 for no limit."""
    answer_tokens: int = 300
    """Longest answer of the judge; more for one that thinks first."""
    parallel: int = 4
    """Requests at the same time."""
    timeout: float = 60.0
    """Seconds until a request is given up."""
    retries: int = 5
    """Repetitions of a request that failed in passing, behind waits that double."""


@dataclass(frozen=True, kw_only=True)
class SummarizeConfig:
    """A summary of a user's own text."""

    input: str
    """A text file, or - for standard input; texts are split at <|endoftext|>."""
    model: str
    """Run folder, model folder or hub name."""
    max_new_tokens: int = 96
    """Longest summary, in tokens."""
    num_beams: int = 1
    """1 is greedy decoding."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """A model and its tokenizer as a folder that transformers loads."""

    model: str
    """Run folder, model folder or hub name."""
    out: str
    """Folder to write; replaced if it is a model folder already and `overwrite` is set."""
    portable: bool = False
    """Put the modelling code in the folder too: it then loads where rot5 is not installed, by trust_remote_code."""
    overwrite: bool = False
    """Replace a model folder that is already there."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """One self-contained HTML page about a run, or a folder of runs."""

    folder: str
    """Run folder, or a folder of run folders."""
    markdown: str = ""
    """Also write the tables and samples as Markdown to this file."""


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Runs that a study file names, and a comparison of them; whatever is there already is not run again."""

    file: str
    """The study: a YAML file of variants, seeds, a budget and data."""
    out: str = ""
    """Folder for the comparison; default: runs/studies/ and the name of the file."""
    runs: str = "runs/studies/runs"
    """Folder of the run folders; studies that use the same one share equal runs."""
    jobs: int = 1
    """Runs at the same time; each gets its share of the cores."""
    accept_changes: bool = False
    """Go on though variants mean something else than when the study was begun; their old runs stay where they are."""
    markdown: str = ""
    """Also write the comparison as Markdown to this file."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Everything in one go: a corpus, a pretrained model, a tuned one, its scores and a report."""

    size: str = "full"
    """full (about ten minutes on two cores) or smoke (a minute, learns nothing)."""
    out: str = "runs/demo"
    """Folder to write."""
    overwrite: bool = False
    """Replace a demo that is already there."""


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """Speed and memory, measured here."""

    what: str = "train"
    """train: story tokens per second of packed training; moe: steps with experts beside dense ones; plan: memory and
    time beside what rot5 plan says of them."""
    preset: str = "mini"
    """Shape of the model; plan takes several with commas between them."""
    corpus: str = ""
    """Prepared corpus whose text is trained on; default: StoryWorld with the full vocabulary."""
    rounds: int = 5
    """Timed steps of each variant; the median counts."""
    batch_rows: int = 8
    """Packed rows per step."""
    pack: PackConfig = field(default_factory=PackConfig)
    """The rows."""
    out: str = ""
    """JSON file to write the figures to."""


T = TypeVar("T")


def keys(config_class: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key that a settings class knows."""
    hints = get_type_hints(config_class)
    for entry in fields(config_class):
        yield prefix + entry.name
        if is_dataclass(hints[entry.name]):
            yield from keys(hints[entry.name], f"{prefix}{entry.name}.")


def defaults(config_class: type) -> dict[str, Any]:
    """Every setting of a class that may be left out, and what it is then; groups of settings as dicts."""
    found: dict[str, Any] = {}
    for entry in fields(config_class):
        if entry.default is not MISSING:
            found[entry.name] = entry.default
        elif entry.default_factory is not MISSING:
            value = entry.default_factory()
            found[entry.name] = json.loads(json.dumps(asdict(value) if is_dataclass(value) else value))  # type: ignore[arg-type]
    return found


def _switches(config_class: type) -> set[str]:
    """Settings of a verb that are true or false."""
    return {name for name, kind in get_type_hints(config_class).items() if kind is bool}


def _split(argv: Sequence[str], switches: set[str]) -> tuple[list[str], list[str]]:
    """Recipe files, and the other arguments; a switch without a value gets `true`.

    >>> _split(["--steps", "3", "--config", "a.yaml", "--prune", "--out=x"], {"prune"})
    (['a.yaml'], ['--steps', '3', '--prune=true', '--out=x'])
    """
    recipes, others = [], []
    for argument, following in zip(argv, [*argv, "--"][1:], strict=True):
        name, _, value = argument.partition("=")
        if others and others[-1] == "--config":
            others.pop()
            recipes.append(argument)
        elif name == "--config" and (value or following.startswith("--")):
            recipes.append(value)
        elif argument.startswith("--") and argument[2:] in switches and following.startswith("--"):
            others.append(f"{argument}=true")
        else:
            others.append(argument)
    return recipes, others


def recipe(path: Path) -> dict:
    """The settings that a recipe file holds."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the recipe {path} is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold settings as `key: value`")
    return content


def _recipe_keys(value: dict, known: set[str], prefix: str = "") -> Iterator[str]:
    """Dotted keys that a recipe sets. Raises UserError where a group of settings is given as one value."""
    for key, inner in value.items():
        dotted = f"{prefix}{key}"
        yield dotted
        if any(each.startswith(f"{dotted}.") for each in known):
            if not isinstance(inner, dict):
                raise UserError(f"{dotted} holds {inner!r} in the recipe: give its settings as `key: value` below it")
            yield from _recipe_keys(inner, known, f"{dotted}.")


def parser(config_class: type, verb: str) -> ArgumentParser:
    """A parser of flags and recipe files (`--config`) for one verb's settings."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    built = ArgumentParser(prog=f"rot5 {verb}", exit_on_error=False, description=config_class.__doc__)
    built.add_argument("--config", action="config", help="A recipe: a YAML file of the settings below.")
    built.add_class_arguments(config_class)
    return built


def read(config_class: type[T], verb: str, argv: Sequence[str]) -> T:
    """Settings of a verb: defaults, then recipes, then flags, in whatever order they come.

    Raises UserError that names every unknown key.
    """
    known = set(keys(config_class))
    recipes, flags = _split(argv, _switches(config_class))
    if "" in recipes:
        raise UserError("--config names no recipe: give a YAML file of settings")
    given = [key for path in recipes for key in _recipe_keys(recipe(Path(path)), known)]
    given += [flag[2:].partition("=")[0] for flag in flags if flag.startswith("--")]
    unknown = [key for key in given if key not in known | {"help", "print_config"}]
    if unknown:
        raise UserError("; ".join(f"unknown setting {key!r}: {nearest(key, known)}" for key in unknown))
    reader = parser(config_class, verb)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = reader.instantiate(reader.parse_args([*(f"--config={path}" for path in recipes), *flags]))
    except ArgumentError as error:
        raise UserError(f"rot5 {verb}: {_plain(str(error))}") from error
    return config_class(**{entry.name: values[entry.name] for entry in fields(config_class)})  # type: ignore[arg-type]


_PLAIN = (
    (r'Parser key "([^"]*)":', r"\1:"),
    (r"Problem with given class_path '[^']*': ", ""),
    (r"<class '(\w+)'>|typing\.", r"\1"),
    (r"Expected an? (.+)\. Got value: (.*)$", r"expected \1, got '\2'"),
    (r"Does not validate against any of the Union subtypes .*?\[(\w+).* Given value: (.*)$", r"expected \1, got '\2'"),
)
"""The parser's phrases and how we say them."""


def _plain(complaint: str) -> str:
    """The parser's complaint in a user's words, on one line.

    >>> _plain("Parser key \\"train.steps\\":\\n  Expected a <class 'int'>. Got value: abc")
    "train.steps: expected int, got 'abc'"
    """
    text = " ".join(complaint.split())
    for pattern, ours in _PLAIN:
        text = re.sub(pattern, ours, text)
    return text


def command_line(verb: str, settings: object) -> list[str]:
    """The command, as words, that gives these settings: everything that is not at its default."""
    return ["rot5", verb, *_flags(settings)]


def _flags(settings: Any, prefix: str = "") -> Iterator[str]:
    for entry in fields(settings):
        value, key = getattr(settings, entry.name), f"{prefix}{entry.name}"
        default = entry.default if entry.default_factory is MISSING else entry.default_factory()
        if value == default:
            continue
        if is_dataclass(value):
            yield from _flags(value, f"{key}.")
        elif isinstance(value, tuple):
            yield from (f"--{key}", json.dumps([asdict(each) for each in value]))  # type: ignore[arg-type]
        else:
            yield from (f"--{key}", str(value).lower() if isinstance(value, bool) else str(value))
