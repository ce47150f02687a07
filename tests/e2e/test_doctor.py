"""`rot5 doctor`: what it finds in a run folder, and what it advises."""

import json
import shlex
import shutil

import pytest

WORDS = (
    "pretrain --corpus {corpora}/stories --validation {corpora}/validation --out run --model.preset smoke "
    "--pack.encoder_length 256 --pack.decoder_length 160 --train.steps 3 --train.batch_rows 2 "
    "--train.micro_batch_rows 2 --train.log_every 1 --train.checkpoint_every 1 --train.evaluation_examples 4"
)


@pytest.fixture(scope="module")
def finished(corpora, tmp_path_factory):
    """A folder with a finished run."""
    from rot5.config import PretrainConfig
    from rot5.recipes import read
    from rot5.verbs import pretrain

    place = tmp_path_factory.mktemp("doctor")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        _, *words = shlex.split(WORDS.format(corpora=corpora))
        pretrain.run(read(PretrainConfig, "pretrain", words))
    return place


@pytest.fixture
def place(finished, tmp_path, monkeypatch):
    """A copy of it to do harm to, which is the working directory."""
    shutil.copytree(finished, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def test_a_finished_run_needs_nothing(place, rot5):
    found = rot5("doctor", "run")
    assert found.code == 0, found.out
    assert "-> nothing: the run is complete" in found.out and "wrong" not in found.out
    assert "step-00000002 is whole" in found.out and "step-00000003 is whole" in found.out


def test_a_killed_run_is_to_go_on(place, rot5):
    shutil.rmtree("run/export")
    shutil.rmtree("run/checkpoints/step-00000003")
    (place / "run" / "checkpoints" / "partial-step-00000003").mkdir()
    found = rot5("doctor", "run")
    assert found.code == 0
    assert "partial-step-00000003 was left unfinished" in found.out
    assert "steps 3 to 3 are in no checkpoint" in found.out
    advice = next(line for line in found.out.splitlines() if "go on with: " in line).partition("go on with: ")[2]
    assert advice.startswith("rot5 pretrain ") and advice.endswith(" --resume")
    assert rot5(*shlex.split(advice)[1:]).code == 0
    assert "the run is complete" in rot5("doctor", "run").out


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_named_and_the_advice_helps(place, rot5):
    damage(next((place / "run/checkpoints/step-00000003").glob("*.safetensors")))
    found = rot5("doctor", "run")
    assert found.code == 1 and "step-00000003 is damaged" in found.out
    assert "-> delete run/checkpoints/step-00000003, then go on with: " in found.out
    shutil.rmtree("run/checkpoints/step-00000003")
    assert rot5("doctor", "run").code == 0


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("config.yaml", "a: [", "config.yaml cannot be read"),
        ("environment.json", "{", "environment.json cannot be read"),
        ("metrics.jsonl", "{]\n", "metrics.jsonl has lines that are no records"),
        ("eval.json", "{", "eval.json or samples.jsonl cannot be read"),
        ("export/model.safetensors", "no tensors", "cannot be read"),
    ],
)
def test_files_that_cannot_be_read_are_named(place, rot5, file, content, words):
    (place / "run" / file).write_text(content)
    found = rot5("doctor", "run")
    assert found.code == 1 and words in found.out and "wrong" in found.out


def test_gaps_and_doubles_of_metrics_are_seen(place, rot5):
    path = place / "run" / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]))
    assert "with gaps or doubles" in rot5("doctor", "run").out
    path.write_text("".join(line for line in lines if json.loads(line)["step"] != 2))
    found = rot5("doctor", "run")
    assert "with gaps or doubles" in found.out and found.code == 1


def test_data_that_was_damaged_since_is_seen(place, rot5, corpora, tmp_path):
    shutil.copytree(corpora / "stories", tmp_path / "stories")
    damage(tmp_path / "stories" / "tokens-00000.npy")
    path = place / "run" / "config.yaml"
    path.write_text(path.read_text().replace(f"{corpora}/stories", f"{tmp_path}/stories"))
    found = rot5("doctor", "run")
    assert found.code == 1 and "tokens-00000.npy has changed" in found.out


def test_a_folder_without_a_run(tmp_path, rot5):
    assert "no run was begun here" in rot5("doctor", tmp_path).out
    assert rot5("doctor", tmp_path / "none").code == 2
