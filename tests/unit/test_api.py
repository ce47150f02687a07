"""What `import rot5` gives: names that are found when they are asked for, and that do what the verbs do."""

import json
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rot5
from rot5.data.denoise import DenoiserConfig
from rot5.data.sources import storyworld


@pytest.fixture
def here(mine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(mine)
    return mine


@pytest.fixture
def model(here: Path) -> rot5.Model:
    return rot5.load("runs/mine/tuned")


class TestNames:
    def test_importing_the_package_imports_nothing_heavy(self):
        code = (
            "import sys, rot5; heavy = {'torch', 'transformers', 'numpy'} & set(sys.modules); assert not heavy, heavy"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("name", rot5.__all__)
    def test_every_public_name_is_there_and_says_what_it_is(self, name):
        assert getattr(rot5, name).__doc__
        assert name in dir(rot5)

    def test_stories_and_denoising_need_no_torch(self):
        code = "import sys, rot5; rot5.StoryWorld()[0], rot5.denoise; assert 'torch' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def test_another_name_is_refused_as_python_does(self):
        with pytest.raises(AttributeError, match="no attribute 'pretrain_everything'"):
            _ = rot5.pretrain_everything  # type: ignore[attr-defined]


class TestModel:
    def test_one_text_gives_one_and_several_as_many(self, model):
        one, both = model.summarize("Tom lost a kite.", max_new_tokens=8), ["Tom lost a kite.", "Mia ran."]
        assert isinstance(one, str)
        assert model.summarize(both, max_new_tokens=8)[0] == one
        assert len(model.generate(tuple(both), max_new_tokens=4)) == 2
        assert model.generate([]) == []

    def test_a_summary_is_what_the_command_prints(self, model, here, rot5):
        (here / "text.txt").write_text("Tom lost a kite.", encoding="utf-8")
        told = rot5("summarize", "text.txt", "--model", "runs/mine/tuned", "--max_new_tokens", 9)
        assert told.out == model.summarize("Tom lost a kite.", max_new_tokens=9) + "\n"

    def test_a_prefix_is_read(self, model):
        text = "Tom lost a kite."
        behind = model.logprobs([text], ["He ran."], prefix="[S]")[0]
        assert behind == model.logprobs(["[S]" + text], ["He ran."], prefix="")[0]
        assert behind.total != model.logprobs([text], ["He ran."])[0].total

    def test_settings_that_cannot_work_are_refused(self, model):
        with pytest.raises(rot5.UserError, match="num_beams 0 must be at least 1"):
            model.generate("Tom", num_beams=0)
        with pytest.raises(rot5.UserError, match="unknown precision 'int4'"):
            rot5.load("runs/mine/tuned", precision="int4")
        for wrong in ("", ["Tom", " "], None, [3]):
            with pytest.raises(rot5.UserError, match=r"is empty: give some text|no text: give a string"):
                model.summarize(wrong)  # type: ignore[call-overload]
        with pytest.raises(rot5.UserError, match="put each in brackets"):
            model.logprobs("Tom", "Tom")
        with pytest.raises(rot5.UserError, match="two lists of one length"):
            model.logprobs(["Tom"], ["a", "b"])

    def test_pieces_of_a_stream_come_one_by_one_and_a_reader_may_stop(self, model):
        threads = threading.active_count()
        pieces = list(model.stream("Tom lost a kite.", do_sample=True, seed=3, max_new_tokens=12))
        assert len(pieces) > 1
        drawn = model.generate("Tom lost a kite.", do_sample=True, seed=3, max_new_tokens=12)
        assert "".join(pieces) == drawn
        answer = model.stream("Tom lost a kite.", max_new_tokens=400)
        next(answer)
        answer.close()
        assert threading.active_count() == threads

    def test_log_probabilities_are_those_of_the_model(self, model):
        import torch

        texts, targets = ["Tom lost a kite.", "Mia"], ["He was very sad.", "She ran to the pond and sat."]
        for text, target, said in zip(texts, targets, model.logprobs(texts, targets), strict=True):
            ids = model.tokenizer(text, return_tensors="pt").input_ids
            labels = model.tokenizer(target, return_tensors="pt").input_ids
            with torch.no_grad():
                logits = model.model(input_ids=ids, labels=labels).logits
            expected = logits.log_softmax(-1)[0].gather(-1, labels[0][:, None])[:, 0]
            np.testing.assert_allclose(said.of_tokens, expected, rtol=1e-4)
            assert said.tokens == model.tokenizer.convert_ids_to_tokens(labels[0].tolist())

    def test_precision_is_that_of_writing_and_weights_stay(self, here):
        light = rot5.load("runs/mine/tuned", precision="int8")
        before = {name: each.clone() for name, each in light.model.state_dict().items()}
        light.summarize("Tom lost a kite.", max_new_tokens=4)
        assert all(each.equal(before[name]) for name, each in light.model.state_dict().items())
        assert light.parameters == rot5.load("runs/mine/tuned").parameters

    def test_a_saved_model_says_the_same(self, model, tmp_path):
        model.save(tmp_path / "saved")
        again = rot5.load(tmp_path / "saved")
        assert again.logprobs(["Tom"], ["Mia ran."]) == model.logprobs(["Tom"], ["Mia ran."])
        with pytest.raises(rot5.UserError, match="already exists"):
            model.save(tmp_path / "saved")


SETTINGS = {"summaries": 2, "max_new_tokens": 6}


class TestEvaluate:
    def test_figures_are_those_of_the_command(self, model, tmp_path, rot5):
        figures = _evaluate(model, "runs/mine/data/test", **SETTINGS)
        words = [word for key, value in SETTINGS.items() for word in (f"--{key}", value)]
        called = rot5("evaluate", "runs/mine/tuned", "--data", "runs/mine/data/test", "--out", tmp_path, *words)
        assert called.code == 0, called.err
        written = json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))
        assert figures == {key: written[key] for key in figures}

    def test_nothing_is_written_or_printed_unless_a_folder_is_named(self, model, here, tmp_path, capsys):
        before = sorted(here.rglob("*"))
        _evaluate(model, "runs/mine/data/test", **SETTINGS)
        assert sorted(here.rglob("*")) == before and not capsys.readouterr().out
        _evaluate(model, "runs/mine/data/test", **SETTINGS, out=tmp_path / "judged")
        assert {path.name for path in (tmp_path / "judged").iterdir()} >= {"eval.json", "samples.jsonl"}

    def test_data_are_needed_where_the_model_is_no_run(self, model):
        with pytest.raises(rot5.UserError, match="--data is needed"):
            _evaluate(model)


_evaluate = rot5.evaluate
"""Beside the fixture of the package's name."""


class TestScore:
    def test_several_references_and_intervals(self):
        found = rot5.score(["Tom ran.", "Mia sat down."], [["Tom ran.", "Tom ran home."], "Mia sat down."])
        assert found["rouge1"].low <= found["rouge1"].mean < 100
        assert found["exact_match"].mean == 100

    def test_copying_is_measured_where_inputs_are_given(self):
        assert "copied" not in rot5.score(["a b"], ["a b"])
        assert rot5.score(["a b c d"], ["x"], ["so a b c d too"])["copied"].mean == 100

    @pytest.mark.parametrize("given", [([], []), (["a"], []), (["a"], [[]]), (["a"], ["b"], ["c", "d"])])
    def test_what_does_not_fit_is_refused(self, given):
        with pytest.raises(rot5.UserError):
            rot5.score(*given)


class TestStoryWorld:
    @pytest.mark.parametrize("split", ["train", "test", "held_out"])
    def test_its_records_are_those_that_models_learn_from(self, split):
        assert list(rot5.StoryWorld(3, split, size=9)) == list(storyworld(3, split, 0, 9))

    def test_it_is_a_sequence(self):
        world = rot5.StoryWorld(size=20)
        part = world[2:12:3]
        assert [len(part), part[0], part[-1]] == [4, world[2], world[11]]
        assert world[5] in part and world[4] not in part and len(list(world)) == 20
        with pytest.raises(IndexError):
            world[20]

    def test_an_unknown_split_is_refused(self):
        with pytest.raises(rot5.UserError, match="did you mean train"):
            rot5.StoryWorld(split="tain")


class TestDenoise:
    TEXT = "Tom lost the red kite near the pond, and Mia found it under a tree on the next day."

    @pytest.mark.parametrize("name", ["R", "X", "S", "X32", "X64"])
    def test_input_and_target_hold_the_text(self, name):
        shown = rot5.denoise(self.TEXT, name, seed=4)
        assert shown.input.startswith(f"[{name[0]}]")
        assert shown == rot5.denoise(self.TEXT, name, seed=4)
        assert any(rot5.denoise(self.TEXT, name, seed=seed) != shown for seed in range(5, 12))
        shows, asks = _spans(shown.input.removeprefix(f"[{name[0]}]")), dict(_spans(shown.target))
        told = "".join(asks.pop(mark, "") + text for mark, text in shows) if name != "S" else shows[0][1] + asks[""]
        assert told.replace("</s>", "").replace(" ", "") == self.TEXT.replace(" ", "")

    def test_a_denoiser_of_ones_own(self):
        whole = DenoiserConfig(name="much", kind="X", probability=0.3, density=0.9)
        assert len(rot5.denoise(self.TEXT, whole).target) > len(rot5.denoise(self.TEXT, "R").target)
        with pytest.raises(rot5.UserError, match=r"density is 1\.5"):
            rot5.denoise(self.TEXT, replace(whole, density=1.5))

    @pytest.mark.parametrize("given", [("", "R"), ("Tom", "Q"), ("Tom " * 70_000, "S")])
    def test_what_cannot_be_denoised_is_refused(self, given):
        with pytest.raises(rot5.UserError):
            rot5.denoise(*given)

    def test_a_text_that_needs_too_many_sentinels_is_refused(self, mine):
        tokenizer = rot5.load(mine / "runs/mine/tuned").tokenizer
        with pytest.raises(rot5.UserError, match="sentinels"):
            rot5.denoise("Tom " * 3000, "R", tokenizer=tokenizer)


def _spans(text: str) -> list[tuple[str, str]]:
    """The text behind each sentinel, and first that before all, behind none."""
    parts = re.split(r"(\[MASK-\d+\])", text)
    return [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
