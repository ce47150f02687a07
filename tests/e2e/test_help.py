"""Help: verbs in groups, settings with examples that are understood, and the missing setting named."""

import importlib
import shlex
from types import SimpleNamespace

import pytest

from rot5 import cli
from rot5.commands import CONTINUABLE, CONTINUING, GROUPS, SPREAD, VERBS

EXAMPLES = [(name, example) for name, verb in VERBS.items() for example in verb.examples]


def test_verbs_stand_in_groups(rot5):
    shown = rot5("--help").out
    assert rot5("help").out == shown == rot5().out
    heads = [line.removesuffix(":") for line in shown.splitlines() if line.endswith(":")]
    assert heads == list(GROUPS)
    assert all(f"\n  {name} " in shown for name in VERBS)
    assert {*CONTINUABLE, *CONTINUING, *SPREAD} <= set(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_ends_with_its_examples(rot5, name):
    called = rot5("help", name)
    assert called.code == 0 and called == rot5(name, "--help")
    tail = called.out[called.out.index("\nexamples:\n") :]
    assert [line.strip() for line in tail.splitlines()[2:]] == list(VERBS[name].examples)
    assert ("--overwrite  " in called.out.partition("\nalso:\n")[2]) == (name in CONTINUABLE)


@pytest.fixture
def received(monkeypatch) -> list:
    """The settings that verbs would have been called with."""
    received = []
    handler = SimpleNamespace(run=lambda settings, **switches: received.append(settings))
    found = importlib.import_module
    modules = {verb.module for verb in VERBS.values()}
    monkeypatch.setattr(importlib, "import_module", lambda name, *rest: handler if name in modules else found(name))
    return received


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_every_example_is_understood_and_can_be_printed_as_a_recipe(name, example, received, rot5, tmp_path):
    words = shlex.split(example.removeprefix('eval "$(').removesuffix(')"'))
    assert words[:2] == ["rot5", name]
    cli.run(words[1:])
    assert type(received[0]).__name__ == VERBS[name].settings
    for how in ("--print_config", "--print_config=skip_default"):
        printed = rot5(*words[1:], how)
        assert printed.code == 0 and printed.err == ""
        (tmp_path / "recipe.yaml").write_text(printed.out)
        cli.run([name, "--config", str(tmp_path / "recipe.yaml")])
    assert received[1:] == received[:1] * 2


def test_a_printed_recipe_leaves_out_what_is_still_to_be_given(received, rot5, tmp_path):
    (tmp_path / "recipe.yaml").write_text(rot5("pretrain", "--print_config", "--corpus", "a", "--train.steps=3").out)
    cli.run(["pretrain", "--config", str(tmp_path / "recipe.yaml"), "--validation", "b", "--out", "c"])
    told = received[0]
    assert (told.corpus, told.validation, told.out, told.train.steps) == ("a", "b", "c", 3)


def test_what_is_missing_is_named_with_an_example(rot5):
    told = "rot5: error: rot5 teach: required settings are missing: pairs, out; for example: {}\n"
    assert rot5("teach", "mine") == (2, "", told.format(VERBS["teach"].examples[0]))


def test_help_of_no_verb(rot5):
    assert "unknown verb 'pretran': did you mean pretrain?" in rot5("help", "pretran").err
