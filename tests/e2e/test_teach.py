"""Students learn what teachers write: answers are asked for once, the best are kept, and any model can teach."""

import json
from pathlib import Path

import pytest
import torch

from rot5.data.corpus import Corpus, PairCorpus
from rot5.loading import load
from rot5.verbs import teach


@pytest.fixture
def teacher(tiny_model, corpora, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    tiny_model(vocab_size=len(tokenizer), **ids).save_pretrained("teacher")
    tokenizer.save_pretrained("teacher")
    return "teacher"


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """How many texts were written at each call."""
    calls, real = [], teach.write_texts

    def counted(loaded, texts, *rest):
        calls.append(len(texts))
        return real(loaded, texts, *rest)

    monkeypatch.setattr(teach, "write_texts", counted)
    monkeypatch.setattr(teach, "INPUTS_AT_ONCE", 3)
    return calls


def answers(name: str) -> list[list]:
    return [json.loads(line) for line in Path(f"{name}.answers.jsonl").read_text().splitlines()[1:]]


def test_targets_are_the_teachers_and_all_else_stays(teacher, corpora, asked, rot5):
    given = ("teach", teacher, "--pairs", corpora / "held-out", "--max_new_tokens", 6)
    assert rot5(*given, "--out", "taught").code == 0
    assert asked == [3, 3, 2]
    before, after = PairCorpus.open(corpora / "held-out"), PairCorpus.open("taught")
    for (told,), old, new in zip(answers("taught"), before.references(), after.references(), strict=True):
        assert new == old._replace(target=told[0]) and new.target != old.target and told[1] < 0
    assert after.tokenizer().get_vocab() == before.tokenizer().get_vocab()
    assert after.manifest["licence"] == "Apache-2.0"
    assert rot5(*given, "--out", "taught", "--gold", "true", "--overwrite").code == 0
    assert len(PairCorpus.open("taught")) == 2 * len(before) and len(asked) == 3, "gold costs no answer"
    again = rot5(*given, "--out", "taught")
    assert again.code == 2 and "already exists" in again.err


def test_a_teacher_that_was_trained_anew_is_another(teacher, corpora, asked, rot5):
    given = ("teach", teacher, "--pairs", corpora / "held-out", "--max_new_tokens", 2, "--out", "taught", "--overwrite")
    assert rot5(*given).code == 0
    model = load(teacher).model
    with torch.no_grad():
        model.decoder.norm.weight[0] += 1
    model.save_pretrained(teacher)
    changed = rot5(*given)
    assert changed.code == 2 and "holds answers of another teacher" in changed.err
    kept = Path("taught.answers.jsonl")
    head, *lines = kept.read_text().splitlines(keepends=True)
    told = json.loads(head)
    del told["answers"]["weights"]
    kept.write_text("".join([json.dumps(told) + "\n", *lines]))
    assert rot5(*given).code == 0 and len(asked) == 3, "of older software, which noted no weights"


def test_what_was_answered_before_a_kill_is_not_asked_again(teacher, corpora, asked, rot5):
    given = ("teach", teacher, "--pairs", corpora / "held-out", "--max_new_tokens", 6, "--out", "taught")
    assert rot5(*given).code == 0
    whole, first = Path("taught.answers.jsonl").read_bytes(), PairCorpus.open("taught").manifest
    lines = whole.splitlines(keepends=True)
    Path("taught.answers.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:7])  # torn
    asked.clear()
    assert rot5(*given, "--resume").code == 0
    assert asked == [3, 2] and Path("taught.answers.jsonl").read_bytes() == whole
    assert PairCorpus.open("taught").manifest == first
    other = rot5(*given[:-1], "taught", "--seed", 5, "--overwrite")
    assert other.code == 2 and "holds answers of another teacher" in other.err


def test_the_likeliest_of_what_is_drawn_are_kept(teacher, corpora, asked, rot5):
    given = ("teach", teacher, "--pairs", corpora / "held-out", "--max_new_tokens", 6, "--out", "taught")
    assert rot5(*given, "--candidates", 4, "--best", 2, "--temperature", 2.0).code == 0
    assert len(asked) == 12
    told = answers("taught")
    for each in told:
        scores = [score for _, score in each]
        assert scores == sorted(scores, reverse=True) and len({text for text, _ in each}) == len(each)
    expected = [text for each in told for text, _ in each[:2] if text]
    assert [pair.target for pair in PairCorpus.open("taught").references()] == expected
    assert len(expected) > len(told)


def test_a_teacher_of_another_kind_teaches_too_and_its_student_learns(foreigners, corpora, tmp_path, monkeypatch, rot5):
    monkeypatch.chdir(tmp_path)
    taught = rot5("teach", foreigners / "t5", "--pairs", corpora / "held-out", "--max_new_tokens", 6, "--out", "taught")
    assert taught.code == 0, taught.err
    rows = ("--pack.encoder_length", 512, "--pack.decoder_length", 160, "--train.batch_rows", 1)
    loop = ("--train.micro_batch_rows", 1, "--train.steps", 1, "--summaries", 0, "--model.preset", "smoke")
    student = rot5("finetune", "--pairs", "taught", "--validation", corpora / "held-out", "--out", "run", *rows, *loop)
    assert student.code == 0, student.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--best", "2"], "best 2 is more than the 1 candidates"),
        (["--candidates", "0"], "candidates must be at least 1"),
        (["--precision", "int7"], "unknown precision 'int7'"),
        (["--temperature", "0"], "temperature 0"),
    ],
)
def test_faults_are_told_in_one_line(teacher, corpora, rot5, flags, message):
    called = rot5("teach", teacher, "--pairs", corpora / "held-out", "--out", "taught", *flags)
    assert called.code == 2 and message in called.err and called.err.count("\n") == 1
    assert not list(Path().glob("taught*"))


def test_a_teacher_without_a_decoder_is_told(corpora, tmp_path, rot5):
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=9, **sizes)).save_pretrained(tmp_path / "bert")
    called = rot5("teach", tmp_path / "bert", "--pairs", corpora / "held-out", "--out", tmp_path / "taught")
    assert called.code == 2 and "not an encoder-decoder" in called.err
    assert not list(tmp_path.glob("*taught*"))
