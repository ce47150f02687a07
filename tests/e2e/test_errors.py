"""A user's mistakes: one line that says what is wrong and what to do, exit code 2, and nothing written."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rot5.build.pretraining import pretraining
from rot5.config import PretrainConfig
from rot5.data import sources
from rot5.data.corpus import Corpus
from rot5.data.preparing import prepare, prepare_pairs
from rot5.data.tokenizer import prune_tokenizer
from rot5.recipes import read

PREPARE = "prepare {} --tokenizer stories --out out"
PRETRAIN = "pretrain --corpus stories --validation validation --out out --model.preset smoke"
FINETUNE = "finetune --pairs pairs --validation held-out --out out --model.preset smoke"


@pytest.fixture(scope="session")
def strangers(corpora, tmp_path_factory) -> Path:
    """A folder with `few` and `few-pairs` of StoryWorld, whose tokenizer is another one and has four sentinels."""
    folder = tmp_path_factory.mktemp("strangers")
    stories = list(sources.Documents(sources.SourceConfig(limit=20)))
    tokenizer = prune_tokenizer(Corpus.open(corpora / "stories").tokenizer(), stories, 4)
    prepare(stories, tokenizer, folder / "few", source="storyworld")
    prepare_pairs(sources.pairs(sources.SourceConfig(limit=4)), tokenizer, folder / "few-pairs", source="storyworld")
    return folder


@pytest.fixture
def place(tmp_path, corpora, strangers, monkeypatch) -> Path:
    """A working folder with good corpora and everything that can be wrong with a file."""
    for source in [*corpora.iterdir(), *strangers.iterdir()]:
        (tmp_path / source.name).symlink_to(source)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "blank.txt").write_text(" \n<|endoftext|>\n")
    (tmp_path / "story.txt").write_text("A dog ran home.")
    (tmp_path / "latin.txt").write_bytes("Once upon\na time in Málaga".encode("latin-1"))
    (tmp_path / "table.jsonl").write_text('{"text": "one"}\n\n{"txt": "two"}\n')
    (tmp_path / "torn.jsonl").write_text('{"text": "one"}\n{"text": \n')
    (tmp_path / "pairs.jsonl").write_text('{"story": "A dog ran.", "summary": "A dog."}\n{"story": "A cat sat."}\n')
    (tmp_path / "keys.yaml").write_text("train:\n  stps: 3\n  schedule: {nme: linear}\nsed: 1\n")
    (tmp_path / "type.yaml").write_text("train: {steps: abc}\n")
    (tmp_path / "group.yaml").write_text("train: 3\n")
    (tmp_path / "torn.yaml").write_text("train: {steps: 3\n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    (tmp_path / "mixture.yaml").write_text("sources: {world: {format: storyworld, limit: 5}}\n")
    (tmp_path / "stages.yaml").write_text("stages: {one: {pretrain: {corpus: stories, validation: validation}}}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("not to be lost")
    (tmp_path / "broken-model").mkdir()
    (tmp_path / "broken-model" / "config.json").write_text('{"model_type": "unheard-of"}')
    (tmp_path / "impossible").mkdir()
    (tmp_path / "impossible" / "config.json").write_text(
        '{"model_type": "rot5", "rope_parameters": {"rope_type": "yarn"}}'
    )
    (tmp_path / "decoder-only").mkdir()
    (tmp_path / "decoder-only" / "config.json").write_text('{"model_type": "gpt2"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    """All files and folders below, with what the files hold; links are not followed."""
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None for path in folder.rglob("*")
    }


CASES = {
    "missing file": (PREPARE.format("nowhere.txt"), ["no such file", "nowhere.txt"]),
    "missing source": (PREPARE.format("storywrld"), ["'storywrld'", "did you mean storyworld?"]),
    "empty file": (PREPARE.format("empty.txt"), ["no documents in empty.txt"]),
    "empty table": (PREPARE.format("empty.jsonl --pairs true"), ["no pairs in empty.jsonl"]),
    "nothing but separators": (PREPARE.format("blank.txt"), ["no documents in blank.txt"]),
    "folder without texts": (PREPARE.format("broken-model"), ["no .txt files in broken-model"]),
    "not UTF-8": (PREPARE.format("latin.txt"), ["latin.txt", "not UTF-8", "line 2", "convert"]),
    "no such column": (
        PREPARE.format("table.jsonl"),
        ["table.jsonl, line 3", "no column 'text'", "did you mean txt?"],
    ),
    "no target column": (PREPARE.format("pairs.jsonl --pairs true"), ["pairs.jsonl, line 2", "no column 'summary'"]),
    "torn line": (PREPARE.format("torn.jsonl"), ["torn.jsonl, line 2", "not valid JSON"]),
    "several of a source": (
        PREPARE.format("storyworld --source.split tst --source.limit -1"),
        ["did you mean test?", "at least 1, not -1"],
    ),
    "corpus is there": (
        "prepare story.txt --tokenizer stories --out folder",
        ["folder already exists", "--overwrite", "--out"],
    ),
    "out is no corpus": (
        "prepare story.txt --tokenizer stories --out folder --overwrite",
        ["folder exists and is not a corpus"],
    ),
    "out below a file": ("prepare story.txt --tokenizer stories --out story.txt/out", ["story.txt"]),
    "no tokenizer": ("prepare story.txt --tokenizer folder --out out", ["no tokenizer at folder", "mistral"]),
    "unknown preset": (f"{PRETRAIN} --model.preset smok", ["unknown preset 'smok'", "did you mean smoke?"]),
    "unknown flags": (
        f"{PRETRAIN} --train.stps 3 --modle.preset x",
        ["'train.stps': did you mean train.steps?", "'modle.preset': did you mean model.preset?"],
    ),
    "unknown keys of a recipe and a flag": (
        f"{PRETRAIN} --config keys.yaml --pack.encoder 3",
        [
            "'train.stps': did you mean train.steps?",
            "'train.schedule.nme': did you mean train.schedule.name?",
            "'sed': did you mean seed?",
            "'pack.encoder': did you mean pack.encoder_length?",
        ],
    ),
    "wrong type": (f"{PRETRAIN} --train.steps abc", ["train.steps: expected int, got 'abc'"]),
    "wrong type where it may be missing": (f"{PRETRAIN} --model.d_ff abc", ["model.d_ff: expected int, got 'abc'"]),
    "wrong type in a recipe": (f"{PRETRAIN} --config type.yaml", ["train.steps: expected int, got 'abc'"]),
    "one value for a group": (f"{PRETRAIN} --config group.yaml", ["train holds 3", "key: value"]),
    "recipe is missing": (f"{PRETRAIN} --config nowhere.yaml", ["nowhere.yaml", "No such file"]),
    "recipe is not YAML": (f"{PRETRAIN} --config torn.yaml", ["torn.yaml is not YAML"]),
    "no recipe named": (f"{PRETRAIN} --config --seed 1", ["--config names no recipe"]),
    "flag without value": (f"{PRETRAIN} --train.steps", ["--train.steps", "expected one argument"]),
    "stray word": (f"{PRETRAIN} stray", ["unrecognized arguments: stray"]),
    "required settings": ("pretrain --corpus stories", ["required", "validation", "out"]),
    "required model": ("summarize story.txt", ["required", "model"]),
    "impossible in many ways": (
        f"{PRETRAIN} --train.schedule.name cosin --train.precision fp8 --train.micro_batch_rows 3 --train.steps -1 "
        "--train.optimizer.lr 0 --train.evaluation_examples 0 --pack.window 0 --model.d_kv 7",
        [
            "train.schedule.name 'cosin' is not one of linear, cosine, constant, wsd",
            "train.precision 'fp8' is not one of auto, bf16, float32",
            "train.batch_rows 16 must be a multiple of train.micro_batch_rows 3",
            "train.steps -1",
            "train.optimizer.lr 0.0",
            "train.evaluation_examples 0",
            "window is 0",
            "d_kv (7) must be even",
        ],
    ),
    "heads do not divide": (
        f"{PRETRAIN} --model.num_key_value_heads 3",
        ["num_heads (4) must be a multiple of num_key_value_heads (3)"],
    ),
    "odd head width with rotary positions": (
        f"{PRETRAIN} --model.d_kv 7",
        ["d_kv (7) must be even", "rotary positions"],
    ),
    "more choices than experts": (
        f"{PRETRAIN} --model.num_experts 4 --model.num_experts_per_tok 5",
        ["num_experts_per_tok (5) must be between 1 and num_experts (4)"],
    ),
    "a bias and rotated cross-attention": (
        f"{PRETRAIN} --model.position_encoding relative_bias --model.cross_position_encoding aligned",
        ["cross_position_encoding 'aligned' needs position_encoding 'rope'"],
    ),
    "a backend that cannot drop": (
        f"{PRETRAIN} --model.attention_backend varlen --model.dropout_rate 0.1",
        ["'varlen' cannot drop attention weights", "dropout_rate (0.1)"],
    ),
    "no width": (f"{PRETRAIN} --model.d_model 0", ["d_model (0) must be at least 1"]),
    "a text for a corpus": (PRETRAIN.replace("stories", "story.txt"), ["no corpus at story.txt", "prepare one"]),
    "no corpus": (PRETRAIN.replace("stories", "folder"), ["no corpus at folder", "prepare one"]),
    "pairs for a corpus": (PRETRAIN.replace("stories", "pairs"), ["pairs holds pairs, not documents", "--pairs false"]),
    "a corpus for pairs": (
        FINETUNE.replace("--pairs pairs", "--pairs stories"),
        ["stories holds documents, not pairs", "--pairs true"],
    ),
    "validation of another tokenizer": (
        PRETRAIN.replace("--validation validation", "--validation few"),
        ["few was prepared with another tokenizer", "prepare it again"],
    ),
    "too few sentinels": (
        "pretrain --corpus few --validation few --out out --model.preset smoke",
        ["denoiser R needs", "the tokenizer has 4", "raise num_sentinels"],
    ),
    "rows without room": (f"{PRETRAIN} --pack.encoder_length 3", ["rows of 3 / 312 tokens", "lengthen them"]),
    "denoiser of no kind": (
        [*PRETRAIN.split(), "--denoise.denoisers", '[{"name": "R", "kind": "Q", "probability": 1}]'],
        ["denoise.denoisers", "kind", "got 'Q'"],
    ),
    "pairs of another tokenizer": (
        f"{FINETUNE} --pairs few-pairs",
        ["held-out", "was prepared with another tokenizer", "prepare it again"],
    ),
    "counts below nothing": (
        f"{FINETUNE} --limit -1 --summaries -1 --max_new_tokens 0",
        ["limit -1", "summaries -1", "max_new_tokens 0"],
    ),
    "unknown mode": (f"{FINETUNE} --mode Q", ["mode 'Q' is not one of R, S, X, none"]),
    "tuning from nothing": (f"{FINETUNE} --init nowhere", ["no model 'nowhere'"]),
    "evaluating nothing": ("evaluate nowhere", ["--data is needed"]),
    "evaluating by nothing": (
        "evaluate nowhere --data held-out --summaries 0 --num_beams 0",
        ["summaries 0", "num_beams 0"],
    ),
    "report without runs": ("report folder", ["folder holds no run", "give a run folder"]),
    "report of nothing": ("report nowhere", ["nowhere is not a folder"]),
    "summary by no model": ("summarize story.txt --model nowhere", ["no model 'nowhere'"]),
    "summary by a path that is none": (
        "summarize story.txt --model folder/nowhere",
        ["no model 'folder/nowhere': there is no such folder"],
    ),
    "summary by a folder": ("summarize story.txt --model folder", ["folder holds no exported model"]),
    "summary by a broken model": ("summarize story.txt --model broken-model", ["broken-model", "unheard-of"]),
    "summary by an impossible model": (
        "summarize story.txt --model impossible",
        ["impossible has a config.json that no model fits", "rope_type 'yarn'"],
    ),
    "summary by a decoder": ("summarize story.txt --model decoder-only", ["gpt2", "not an encoder-decoder"]),
    "summary of nothing": ("summarize empty.txt --model nowhere", ["empty.txt is empty", "give some text"]),
    "summary of nothing typed": ("summarize - --model nowhere", ["standard input is empty", "give some text"]),
    "summary of a missing file": ("summarize nowhere.txt --model nowhere", ["cannot read nowhere.txt"]),
    "summary of no text": ("summarize latin.txt --model nowhere", ["latin.txt", "not UTF-8", "line 2"]),
    "answer by no model": ("generate story.txt --model nowhere", ["no model 'nowhere'"]),
    "answer to nothing": ("generate empty.txt --model nowhere", ["empty.txt is empty", "give some text"]),
    "answer drawn at no temperature": (
        "generate story.txt --model nowhere --do_sample true --temperature 0",
        ["temperature 0"],
    ),
    "no summary": ("summarize story.txt --model nowhere --max_new_tokens 0", ["max_new_tokens 0"]),
    "unknown verb": ("pretran --corpus stories", ["unknown verb 'pretran'", "did you mean pretrain?"]),
    "unknown demo": ("demo --size smoky --out out", ["unknown demo size 'smoky'", "did you mean smoke?"]),
    "demo over something": ("demo --size smoke --out folder", ["folder already exists", "--overwrite"]),
    "demo never replaces something else": (
        "demo --size smoke --out folder --overwrite",
        ["folder exists and is not a demo"],
    ),
    "unknown benchmark": ("bench trin", ["unknown benchmark 'trin'", "did you mean train?"]),
    "page of benchmarks without a name": ("bench page", ["--markdown"]),
    "benchmark of nothing": ("bench train --rounds 0 --batch_rows 0", ["rounds 0", "batch_rows 0"]),
    "benchmark of an unknown preset": ("bench train --preset mimi", ["unknown preset 'mimi'", "did you mean mini?"]),
    "benchmark of pairs": ("bench train --corpus pairs", ["pairs holds pairs, not documents"]),
    "benchmark without a validation corpus there": (
        "bench time-to-loss --corpus stories --validation nowhere",
        ["no corpus at nowhere"],
    ),
    "benchmark into a file": ("bench train --out story.txt", ["story.txt is a file: choose another folder"]),
    "page of no benchmarks": ("bench page --out folder --markdown out.md", ["folder holds no figures", "measure some"]),
    "page of benchmarks into a folder": (
        "bench page --out folder --markdown folder",
        ["--markdown folder is a folder: name a file"],
    ),
    "report into a folder": ("report folder --markdown folder", ["--markdown folder is a folder: name a file"]),
    "report below a file": ("report folder --markdown story.txt/a.md", ["--markdown story.txt/a.md lies below a file"]),
    "study into a folder": ("study nowhere.yaml --markdown folder", ["--markdown folder is a folder: name a file"]),
    "study of no file": ("study nowhere.yaml", ["cannot read the recipe nowhere.yaml"]),
    "study of bytes": ("study binary.txt", ["the recipe binary.txt is not UTF-8 text"]),
    "study of a recipe": ("study keys.yaml", ["keys.yaml: unknown key 'train': did you mean pretrain?"]),
    "stages of no file": ("stages nowhere.yaml --out out", ["cannot read the recipe nowhere.yaml"]),
    "stages of a text": ("stages story.txt --out out", ["story.txt must hold settings as `key: value`"]),
    "stages into a file": ("stages stages.yaml --out story.txt", ["story.txt is a file: choose another folder"]),
    "mixture of a folder": ("mix folder --tokenizer stories --out out", ["cannot read the recipe folder"]),
    "mixture over something": (
        "mix mixture.yaml --tokenizer stories --out folder --resume",
        ["folder exists and is not a corpus"],
    ),
    "mixture into a file": ("mix mixture.yaml --tokenizer stories --out story.txt", ["story.txt exists"]),
    "mixture of no count": (
        "mix mixture.yaml --tokenizer stories --out out --examples many",
        ["examples: expected int, got 'many'"],
    ),
    "sorting pairs": ("sort pairs --out out", ["pairs holds pairs, not documents"]),
    "sorting into something": ("sort stories --out folder", ["folder already exists"]),
    "sorting by a model unnamed": ("sort stories --by loss --out out", ["needs a model", "--model"]),
    "overlap with nothing": ("overlap validation --training folder", ["no corpus at folder"]),
    "overlap into a folder": ("overlap validation --training stories --out folder", ["--out folder is a folder"]),
    "overlap into something": (
        "overlap validation --training stories --out keys.yaml",
        ["keys.yaml holds something else than overlaps"],
    ),
    "text as a model": ("summarize story.txt --model story.txt", ["story.txt is a file", "model folder"]),
    "corpus as a model": ("summarize story.txt --model stories", ["stories holds no exported model"]),
    "text as a teacher": ("teach story.txt --pairs pairs --out out", ["story.txt is a file"]),
    "teacher of a corpus": ("teach nowhere --pairs stories --out out", ["stories holds documents, not pairs"]),
    "taught pairs over something": ("teach nowhere --pairs pairs --out folder", ["folder already exists"]),
    "distilling by nothing": (f"distill{FINETUNE.removeprefix('finetune')} --teacher folder", ["no exported model"]),
    "export of nothing": ("export folder --out out", ["folder holds no exported model", "name a finished run"]),
    "look at nothing": ("inspect folder --text story.txt --out out", ["folder holds no exported model"]),
    "look at a missing text": ("inspect folder --text nowhere.txt --out out", ["cannot read nowhere.txt"]),
    "look over something": ("inspect folder --text story.txt --out folder", ["folder already exists", "--overwrite"]),
    "bytes for a text": (
        "prepare binary.txt --tokenizer stories --out out",
        ["binary.txt: not UTF-8 text at byte 128"],
    ),
    "bytes for a table": (PREPARE.format("binary.csv"), ["binary.csv", "no column 'text'", "\\x00"]),
    "doctor of a file": ("doctor story.txt", ["story.txt is not a folder: name a run folder"]),
    "predictions for text": (
        "evaluate --predictions story.txt --data stories --out out",
        ["stories holds text", "rot5 prepare --pairs"],
    ),
    "predictions of bytes": ("evaluate --predictions binary.txt --data held-out --out out", ["not UTF-8 text"]),
    "too few predictions": (
        "evaluate --predictions story.txt --data held-out --out out",
        ["story.txt holds 1 predictions", "8 pairs"],
    ),
    "data that is none": ("evaluate nowhere --data folder --out out", ["folder holds no prepared data"]),
    "openings that are none": ("judge nowhere --prompts story.txt --out out", ["story.txt, line 1: not valid JSON"]),
    "judge without a name": (
        "judge nowhere --prompts story.txt --out out --judge_url http://127.0.0.1:9",
        ["judge_model is empty: name the judge"],
    ),
    "plan by no law": ("plan --flops 1e18 --law nowhere.json", ["cannot read the law nowhere.json"]),
    "plan on nothing": ("plan mini --tokens 1e9 --hardware H201", ["'H201' is unknown", "did you mean H200?"]),
    "shell unheard of": ("completion csh", ["unknown shell 'csh'", "did you mean zsh?"]),
    "no stories": ("stories 0 --out out", ["count 0 must be at least 1"]),
}


def refuse(rot5, place: Path, words: str | list[str], phrases: list[str]) -> None:
    """Call the command and require the one line, the exit code, and a working folder as it was."""
    before = contents(place)
    called = rot5(*(shlex.split(words) if isinstance(words, str) else words))
    assert called.code == 2, called
    assert called.err.startswith("rot5: error: ") and called.err.count("\n") == 1 and called.err.endswith("\n")
    assert "Traceback" not in called.out + called.err
    for phrase in phrases:
        assert phrase in called.err, called.err
    assert contents(place) == before


@pytest.mark.parametrize(("words", "phrases"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_in_one_line(rot5, place, words, phrases):
    refuse(rot5, place, words, phrases)


def test_rows_shorter_than_the_longest_pair_are_told_with_figures(rot5, place):
    longest = int(Corpus.open("pairs/inputs").lengths.max()) + 2
    refuse(
        rot5,
        place,
        f"{FINETUNE} --pack.encoder_length 100 --pack.decoder_length 8",
        [
            f"pairs: encoder_length is 100, less than the longest input of {longest} tokens",
            f"set encoder_length to {longest} or more",
            "decoder_length is 8",
            "validation pairs: encoder_length",
        ],
    )


def test_a_run_is_not_overwritten_nor_taken_up_with_other_settings(rot5, place):
    pretraining(read(PretrainConfig, "pretrain", PRETRAIN.split()[1:]), resume=False, overwrite=False)
    refuse(rot5, place, PRETRAIN, ["out already holds a run", "--resume", "--overwrite"])
    refuse(
        rot5,
        place,
        f"{PRETRAIN} --resume --seed 3 --train.optimizer.lr 0.5",
        ["other settings", "seed: 0 -> 3", "train.optimizer.lr: 0.01 -> 0.5", "restore them"],
    )
    refuse(rot5, place, f"{PRETRAIN} --resume perhaps", ["unrecognized arguments: perhaps"])


def test_a_run_does_not_replace_what_is_no_run(rot5, place):
    for switch in ("", " --overwrite", " --resume"):
        refuse(rot5, place, f"{PRETRAIN} --out folder{switch}", ["folder exists and is not a run folder"])
        refuse(rot5, place, f"{PRETRAIN} --out story.txt{switch}", ["story.txt is a file: choose another folder"])


def test_the_model_and_the_data_share_a_tokenizer(rot5, place, tiny_model):
    tiny_model().save_pretrained("out-of-training")
    Corpus.open("stories").tokenizer().save_pretrained("out-of-training")
    told = ["was prepared with another tokenizer", "prepare it again"]
    pairs = "--pairs few-pairs --validation few-pairs --out out --init out-of-training"
    refuse(rot5, place, f"finetune {pairs}", ["few-pairs", *told])
    for data in ("few", "few-pairs"):
        refuse(rot5, place, f"evaluate out-of-training --data {data} --max_new_tokens 1 --summaries 1", [data, *told])


def test_a_failed_preparation_leaves_the_corpus_that_was_there(rot5, place):
    shutil.copytree("validation/", "kept")
    (place / "late.jsonl").write_text("\n".join([json.dumps({"text": "A dog."})] * 3) + '\n{"text": 5}\n')
    refuse(rot5, place, "prepare late.jsonl --tokenizer stories --out kept --overwrite", ["late.jsonl, line 4"])


def test_standard_input_that_is_no_text_is_told(rot5):
    called = rot5("summarize", "-", "--model", "nowhere", stdin="Málaga".encode("latin-1"))
    assert called == (2, "", "rot5: error: standard input is not UTF-8 text at byte 1: convert it to UTF-8\n")


def process(*words: str, **settings) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "rot5.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def test_exit_codes_of_a_true_process(place):
    for words, code, err in (
        (["--version"], 0, ""),
        (["pretran"], 2, "rot5: error: unknown verb 'pretran': did you mean pretrain?\n"),
        (["stories", "--out", "no/where"], 2, "rot5: error: cannot write no/where: No such file or directory\n"),
        (["completion", "csh"], 2, "rot5: error: unknown shell 'csh': did you mean zsh?\n"),
    ):
        called = process(*words, cwd=place)
        assert (called.communicate()[1], called.returncode) == (err, code)


@pytest.mark.parametrize("verb", ["summarize", "generate"])
def test_texts_that_are_not_there_are_told_before_anything_slow_is_imported(verb, tmp_path):
    code = f"import sys; sys.argv = ['rot5', '{verb}', 'nowhere.txt', '--model', 'm']\n"
    code += "from rot5.cli import main\ntry:\n    main()\nfinally:\n    assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "rot5: error: cannot read nowhere.txt: No such file or directory\n")


def test_who_reads_nothing_sees_no_traceback(place):
    called = process("--help", cwd=place)
    assert called.stdout is not None
    called.stdout.close()
    assert called.wait(timeout=60) == 141 and called.stderr is not None and called.stderr.read() == ""


def test_an_interrupt_ends_in_one_line():
    """Also where the tests themselves run in the background, which has interrupts ignored."""
    endless = process(
        "stories", "1000000000", "--format", "jsonl", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    try:
        assert endless.stdout is not None and endless.stdout.readline().startswith("{")
        endless.send_signal(signal.SIGINT)
        assert endless.communicate(timeout=60)[1] == "rot5: interrupted\n"
    finally:
        endless.kill()
    assert endless.returncode == 130
