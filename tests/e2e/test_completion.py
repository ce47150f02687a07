"""What shells complete: verbs, settings, values and paths, tried in bash itself."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from rot5 import config, demo
from rot5.bench.run import BENCHES
from rot5.commands import VERBS
from rot5.data.sources import SourceConfig
from rot5.data.tasks.examples import FORMATS
from rot5.data.tokenizer import MODES
from rot5.model.configuration_rot5 import CHOICES as OF_MODELS
from rot5.model.settings import ModelConfig
from rot5.recipes import keys
from rot5.sizing.time import HARDWARE
from rot5.train.distilling import METHODS
from rot5.verbs import plan, sort, stories
from rot5.verbs.completion import ALSO_PATHS, CHOICES, SCRIPTS, bash, fish, flags


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "rot5.bash"
    path.write_text(bash())
    return path


@pytest.fixture
def completed(script, tmp_path):
    """What bash offers behind words as it cuts them, in a folder of few files."""
    (tmp_path / "my stories").mkdir()
    (tmp_path / "mine.txt").touch()

    def call(*words: str) -> list[str]:
        code = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rot5; printf "%s\\n" "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "-uc", code, script, "rot5", *words], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert not done.stderr
        return done.stdout.splitlines()

    return call


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pre"], ["prepare", "pretrain"]),
        (["help", "pre"], ["prepare", "pretrain"]),
        (["pretrain", "--train.s"], ["--train.steps", "--train.schedule.name", "--train.schedule.warmup_fraction",
                                     "--train.schedule.decay_fraction", "--train.schedule.final_fraction"]),
        (["pretrain", "--out", "x", "--train.optimizer.name", "ada"], ["adamw", "adamw_rms", "adafactor"]),
        (["pretrain", "--train.optimizer.name", "="], ["muon", "adamw", "adamw_rms", "adafactor"]),
        (["pretrain", "--train.optimizer.name", "=", "mu"], ["muon"]),
        (["prepare", "mine.txt", "--pairs", "t"], ["true"]),
        (["prepare", "mine.txt", "--res"], ["--resume"]),
        (["evaluate", "mine", "--res"], ["--resume"]),
        (["evaluate", "mine", "--overw"], [""]),
        (["bench", "m"], ["memory", "moe"]),
        (["generate", "m"], ["mine.txt", "my stories"]),
        (["generate", "mine.txt", "--precision", ""], ["float32", "bf16", "int8"]),
        (["prepare", "m"], ["mine.txt", "my stories"]),
        (["prepare", "s"], ["storyworld"]),
        (["pretrain", "--corpus", "m"], ["mine.txt", "my stories"]),
        (["pretrain", "--train.steps", ""], [""]),
        (["pretrian", "--out", ""], [""]),
    ],
)  # fmt: skip
def test_bash_offers_what_may_come_next(completed, words, offered):
    assert sorted(completed(*words)) == sorted(offered)


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_of_a_verb_is_offered(verb):
    offered = {flag.key for flag in flags(verb)}
    known = set(keys(getattr(config, VERBS[verb].settings)))
    assert offered - known <= {"config", "help", "resume", "overwrite"}
    assert {key for key in known - offered if not any(each.startswith(f"{key}.") for each in known)} == set()
    assert all(f"-l {key}" in fish() for key in offered)


def test_what_settings_may_be_is_what_their_verbs_take():
    for kind, name in {*CHOICES, *ALSO_PATHS}:
        assert name in {entry.name for entry in fields(kind)}
    truth = {
        (config.StoriesConfig, "format"): stories.FORMATS,
        (config.MixConfig, "format"): FORMATS,
        (config.SortConfig, "by"): sort.MEASURES,
        (config.PlanConfig, "hardware"): [*HARDWARE, plan.HERE],
        (config.FinetuneConfig, "mode"): [*MODES, "none"],
        (config.DistillConfig, "method"): METHODS,
        (config.BenchConfig, "what"): [*BENCHES, "page"],
        (config.DemoConfig, "size"): demo.SIZES,
        (config.CompletionConfig, "shell"): SCRIPTS,
        **{(ModelConfig, name): known for name, known in OF_MODELS.items()},
    }
    for place, known in truth.items():
        assert sorted(CHOICES[place]) == sorted(known), place
    assert (SourceConfig, "name") in ALSO_PATHS


def test_the_script_is_printed_without_torch_and_read_by_its_shells(rot5, script):
    code = (
        "import sys; from rot5.cli import run; run(['completion', 'bash']); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == script.read_text()
    assert rot5("completion", "zsh").out.endswith(printed) and rot5("completion", "fish").out == fish()
    called = rot5("completion", "csh")
    assert called.code == 2 and "unknown shell 'csh'" in called.err
