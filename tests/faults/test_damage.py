"""Damage to checkpoints and corpora is found, or harmless; a full disk leaves what was there."""

import json
import os
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faults.damage import DAMAGES, files

from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.packing import PackConfig
from rot5.errors import UserError
from rot5.model.settings import ModelConfig
from rot5.train.checkpoint import CheckpointWriter, checkpoints, load_checkpoint, newest
from rot5.train.settings import TrainConfig

CORRUPTIONS = 60


@pytest.fixture(scope="module")
def settings(corpora, tmp_path_factory) -> PretrainConfig:
    return PretrainConfig(
        corpus=str(corpora / "stories"),
        validation=str(corpora / "validation"),
        out=str(tmp_path_factory.mktemp("damage") / "run"),
        model=ModelConfig(preset="smoke"),
        pack=PackConfig(encoder_length=256, decoder_length=160),
        train=TrainConfig(
            steps=2, batch_rows=2, micro_batch_rows=2, evaluate_every=0, evaluation_examples=4, checkpoint_every=1
        ),
    )


@pytest.fixture(scope="module")
def job(settings):
    found = pretraining(settings, resume=False, overwrite=False)
    found.trainer.train()
    return found


def state_of(job) -> list[torch.Tensor]:
    moments = [
        value
        for state in job.trainer.optimizer.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]
    return [tensor.detach().clone() for tensor in (*job.model.state_dict().values(), *moments)]


def test_a_damaged_checkpoint_is_never_taken_up(job, tmp_path):
    """Of 60 damages each is told, with the one before it that is whole, or changes nothing of what is loaded."""
    load_checkpoint(checkpoints(job.run.checkpoints)[-1], job.model, job.trainer.optimizer)
    expected, draw, told = state_of(job), random.Random(0), 0
    for number in range(CORRUPTIONS):
        folder = tmp_path / str(number)
        shutil.copytree(job.run.checkpoints, folder)
        last = checkpoints(folder)[-1]
        victim = draw.choice(files(last))
        draw.choice(DAMAGES)(victim, draw)
        try:
            found = newest(folder)
        except UserError as error:
            assert "is damaged" in str(error) and "step-00000001, which is whole" in str(error)
            told += 1
            continue
        assert found is not None
        if found == last:
            load_checkpoint(found, job.model, job.trainer.optimizer)
            assert all(torch.equal(*pair) for pair in zip(state_of(job), expected, strict=True)), victim
        else:
            assert victim.name == "manifest.json" and not victim.exists()
    assert told > CORRUPTIONS // 2


@pytest.mark.parametrize("kind", ["stories", "pairs"])
def test_a_damaged_corpus_is_never_read(corpora, tmp_path, kind):
    """Of 60 damages each is told at opening or by verification, or changes nothing that is read."""
    opens = {"stories": Corpus, "pairs": PairCorpus}[kind]
    expected, draw, told = contents(opens.open(corpora / kind)), random.Random(1), 0
    for number in range(CORRUPTIONS):
        folder = tmp_path / str(number)
        shutil.copytree(corpora / kind, folder)
        draw.choice(DAMAGES)(draw.choice(files(folder)), draw)
        try:
            data = opens.open(folder)
            data.verify()
            found = contents(data)
        except UserError:
            told += 1
            continue
        assert found == expected
    assert told > CORRUPTIONS // 2


def contents(data) -> list:
    if isinstance(data, PairCorpus):
        return [contents(data.inputs), contents(data.targets), list(data.references()), data.manifest["pairs"]]
    every = np.arange(data.num_documents)
    tokens = data.read(every, np.zeros_like(every), data.lengths)
    counts = [data.num_documents, data.num_tokens, data.num_bytes, data.tokenizer_fingerprint]
    return [tokens.values.tolist(), tokens.offsets.tolist(), *counts, data.tokenizer().get_vocab()]


def test_a_run_on_a_damaged_corpus_ends_before_its_model_is_given_out(settings, corpora, tmp_path):
    shutil.copytree(corpora / "stories", tmp_path / "stories")
    shard = tmp_path / "stories" / "tokens-00000.npy"
    data = bytearray(shard.read_bytes())
    data[-2] ^= 1
    shard.write_bytes(data)
    damaged = replace(settings, corpus=str(tmp_path / "stories"), out=str(tmp_path / "run"))
    job = pretraining(damaged, resume=False, overwrite=False)
    job.verification.join()
    with pytest.raises(UserError, match=r"damaged: tokens-00000.npy has changed"):
        job.trainer.train()
    assert job.trainer.state.step == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(place)]).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(job, small_disk):
    size = sum(file.stat().st_size for file in files(checkpoints(job.run.checkpoints)[-1]))
    assert size < 12 * 2**20 < 8 * size, "room for some checkpoints, not for many"
    writer = CheckpointWriter(small_disk / "checkpoints", 9, sharded=False)
    state = {"step": 0}
    with pytest.raises(UserError, match=r"cannot be written .* no space left on the device; step-\d+ is whole"):
        for step in range(1, 9):
            writer.save(step, job.model, job.trainer.optimizer, state)
        writer.wait()
    found = newest(small_disk / "checkpoints")
    assert found is not None
    load_checkpoint(found, job.model, job.trainer.optimizer)
    assert not list((small_disk / "checkpoints").glob("partial-*"))


def test_a_full_disk_ends_a_command_in_one_line(settings, small_disk, rot5):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(11 * 2**20 + 2**19))
    words = f"--corpus {settings.corpus} --validation {settings.validation} --out {small_disk}/run --model.preset smoke"
    loop = "--train.steps 4 --train.batch_rows 2 --train.micro_batch_rows 2 --train.checkpoint_every 1"
    done = rot5("pretrain", *f"{words} {loop} --train.evaluation_examples 4".split())
    assert done.code == 2 and done.err.count("\n") == 1 and "no space left on" in done.err.lower()
    filler.unlink()
    assert Path(small_disk / "run").is_dir()


@pytest.mark.parametrize("key", ["tokens", "bytes", "vocab_size"])
def test_a_count_that_was_changed_in_a_manifest_is_told(corpora, tmp_path, key):
    """No file shows that these are wrong; the manifest's own seal does."""
    shutil.copytree(corpora / "stories", tmp_path / "stories")
    path = tmp_path / "stories" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {key: manifest[key] + 1}))
    with pytest.raises(UserError, match=r"damaged: manifest\.json has changed"):
        Corpus.open(tmp_path / "stories")
