"""`rot5 judge` as users call it: completions, an estimate, a judge that behaves or does not, and one table."""

import html
import json
import shutil
import threading
from pathlib import Path

import pytest
from judge_server import GOOD, chat, serving, varied
from transformers import GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from rot5.data.corpus import Corpus, documents
from rot5.evaluation import completions, judge
from rot5.evaluation.completion_measures import measure_completions
from rot5.evaluation.rubric import Opening

KEY = "sk-not-to-be-seen-anywhere"
PROMPTS = [
    {"opening": "The dog lost a ball."},
    {"opening": "The cat ran home."},
    {"opening": "Amy had a whistle.", "kind": "words", "instruction": "Words: ball, dog"},
]
DRAWN = {"completions.json", "completions.jsonl", "openings.jsonl", "judge.json"}
FILES = DRAWN | {"answers.jsonl", "grades.jsonl"}


@pytest.fixture(scope="module")
def models(corpora, tmp_path_factory) -> Path:
    """A folder with `ours` (never tuned), `tuned`, `t5` and `gpt2`, all tiny and with the same small tokenizer."""
    import torch

    from rot5.model.configuration_rot5 import Rot5Config
    from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("models")
    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    torch.manual_seed(0)
    specials = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    start = tokenizer.bos_token_id
    shape = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": start}
    ours = Rot5ForConditionalGeneration(Rot5Config(vocab_size=len(tokenizer), **shape, **specials))
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **shape, **specials))
    gpt2 = GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=96, **specials)
    )
    for name, model in {"ours": ours, "t5": t5, "gpt2": gpt2}.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    ours.config.task_specific_params = {"summarization": {"prefix": "[S]"}}
    ours.save_pretrained(folder / "tuned")
    tokenizer.save_pretrained(folder / "tuned")
    return folder


@pytest.fixture
def place(tmp_path, models, monkeypatch) -> Path:
    """A working folder with the models and prompts."""
    for source in models.iterdir():
        (tmp_path / source.name).symlink_to(source)
    write("prompts.jsonl", PROMPTS, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(judge, "FIRST_WAIT", 0.005)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("ROT5_JUDGE_KEY", raising=False)
    return tmp_path


def write(name: str, rows: list, folder: Path = Path()) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def words(server, model="ours", out="out", *more: object) -> list[object]:
    url = server if isinstance(server, str) else server.url
    return [
        "judge", model, "--prompts", "prompts.jsonl", "--judge_url", url, "--judge_model", "big", "--out", out,
        "--samples", 2, "--max_new_tokens", 8, "--retries", 1, "--timeout", 5, *more,
    ]  # fmt: skip


def refused(called, *phrases: str) -> None:
    assert called.code == 2 and called.err.startswith("rot5: error: ") and called.err.count("\n") == 1, called
    for phrase in phrases:
        assert phrase in called.err, called.err


@pytest.mark.parametrize("model", ["ours", "tuned", "t5", "gpt2"])
def test_every_kind_of_model_goes_through_and_a_rerun_asks_nothing(rot5, place, model, monkeypatch):
    monkeypatch.setenv("ROT5_JUDGE_KEY", KEY)
    with serving(varied) as server:
        first = rot5(*words(server, model, "out", "--price_in", 2, "--price_out", 10))
        assert (first.code, first.err) == (0, "")
        assert {path.name for path in Path("out").iterdir()} == FILES
        rows, asked = lines("out/completions.jsonl"), len(server.requests)
        assert [(row["opening"], row["sample"]) for row in rows] == [(n // 2, n % 2) for n in range(6)]
        assert 3 <= asked <= 6 and f"{asked} requests to big (6 completions" in first.out
        assert "tokens in" in first.out and "cost at most about 0.0" in first.out
        assert "6 judged, 0 unreadable" in first.out and "grammar" in first.out and "6-7" in first.out
        prompts = [request["messages"][-1]["content"] for request in server.requests]
        assert all(any(row["completion"] in prompt for prompt in prompts) for row in rows)
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        found = json.loads(Path("out/judge.json").read_text())
        assert found["protocol"]["judge_model"] == "big" and len(found["protocol"]["prompts_sha256"]) == 64
        assert found["grades"]["grammar"]["answers"] == 6 and found["grades"]["plot"]["answers"] == 2
        grades = lines("out/grades.jsonl")
        mean = sum(row["grades"]["grammar"] for row in grades) / 6
        assert found["grades"]["grammar"]["mean"] == pytest.approx(mean)

        before = Path("out/judge.json").read_bytes()
        monkeypatch.setattr(completions, "load_writer", lambda name: pytest.fail("completions were there"))
        again = rot5(*words(server, model))
        assert again.code == 0 and len(server.requests) == asked
        assert "0 requests to big" in again.out and again.out.splitlines()[1:] == first.out.splitlines()[1:]
        assert Path("out/judge.json").read_bytes() == before
    assert not any(KEY in path.read_text() for path in Path("out").iterdir()) and KEY not in first.out


def test_the_same_seed_draws_the_same_and_order_does_not_matter(rot5, place):
    with serving(varied) as server:
        assert rot5(*words(server, "ours", "one", "--parallel", 1)).code == 0
        assert rot5(*words(server, "ours", "two", "--parallel", 6)).code == 0
        assert rot5(*words(server, "ours", "three", "--seed", 1)).code == 0
    for name in ("completions.jsonl", "grades.jsonl", "judge.json"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    assert Path("one/completions.jsonl").read_bytes() != Path("three/completions.jsonl").read_bytes()


def test_what_a_model_is_given(place):
    drawing = completions.SampleConfig(samples=3, max_new_tokens=4)
    inputs = {}
    for name in ("ours", "tuned", "t5", "gpt2"):
        writer = completions.load_writer(name)
        generate, tokenizer = writer.loaded.model.generate, writer.loaded.tokenizer

        def spy(input_ids, name=name, generate=generate, tokenizer=tokenizer, **settings):
            inputs[name] = tokenizer.decode(input_ids[0])
            return generate(input_ids=input_ids, **settings)

        def engine_spy(ids, settings, name=name, engine=writer.engine, tokenizer=tokenizer):
            inputs[name] = tokenizer.decode(ids[0])
            return engine(ids, settings)

        writer.loaded.model.generate = spy
        if writer.engine is not None:
            writer = completions.Writer(writer.loaded, engine_spy)
        assert len(completions.complete(writer, "The dog ran", drawing, 0)) == 3
    assert inputs == {
        "ours": "[S] The dog ran",
        "tuned": "[S] The dog ran</s>",
        "t5": "The dog ran</s>",
        "gpt2": "The dog ran",
    }


@pytest.mark.parametrize("name", ["gpt2", "ours"])
def test_draws_go_by_the_number_of_the_opening(place, name):
    writer = completions.load_writer(name)
    drawing = completions.SampleConfig(samples=4, max_new_tokens=8)
    first, again, other = (completions.complete(writer, "The dog ran", drawing, number) for number in (0, 0, 1))
    assert first == again and len(set(first)) > 1 and first != other


def test_a_killed_run_continues(rot5, place):
    with serving(varied) as server:
        assert rot5(*words(server, "ours", "whole")).code == 0
        asked = len(server.requests)
        shutil.copytree("whole", "out")
        for name in ("grades.jsonl", "judge.json"):
            Path("out", name).unlink()
        for name in ("answers.jsonl", "completions.jsonl"):
            Path("out", name).write_bytes(Path("whole", name).read_bytes()[:-30])
        assert rot5(*words(server)).code == 0
        assert len(server.requests) == asked + 1
    for name in ("completions.jsonl", "grades.jsonl", "judge.json"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


def test_a_judge_that_goes_away_and_comes_back(rot5, place):
    lock, left = threading.Lock(), [3]

    def some(request):
        with lock:
            left[0] -= 1
            return varied(request) if left[0] >= 0 else (500, "gone", {})

    with serving(some) as server:
        refused(rot5(*words(server, "ours", "out", "--parallel", 1)), "2 tries", "500", "3 answers are kept in out/")
        kept = len(server.requests)
        server.reply = varied
        called = rot5(*words(server))
        assert called.code == 0 and "6 judged" in called.out
        needed = {row["asked"]["messages"][1]["content"] for row in lines("out/answers.jsonl")}
        assert len(server.requests) - kept == len(needed) - 3


def test_unreadable_answers_are_asked_once_more_and_counted(rot5, place):
    def moody(request):
        prompt, again = request["messages"][1]["content"], len(request["messages"]) > 2
        if "whistle" in prompt:
            return chat("What a lovely story!")
        return chat(GOOD if again or "cat" not in prompt else "Eight out of ten.")

    with serving(moody) as server:
        called = rot5(*words(server))
        assert called.code == 0 and "4 judged, 2 unreadable" in called.out
        asked = len(server.requests)
        assert rot5(*words(server)).code == 0 and len(server.requests) == asked
    found = json.loads(Path("out/judge.json").read_text())
    assert (found["judged"], found["unreadable"]) == (4, 2) and "plot" not in found["grades"]
    assert [row["grades"] is None for row in lines("out/grades.jsonl")] == [False] * 4 + [True] * 2
    assert "What a lovely story!" in {row["answer"] for row in lines("out/answers.jsonl")}


def test_an_estimate_above_the_limit_asks_nothing(rot5, place):
    with serving(varied) as server:
        dear = ("--price_in", 1000, "--price_out", 1000)
        called = rot5(*words(server, "ours", "out", *dear, "--max_cost", 0.01))
        refused(called, "more than max_cost 0.01")
        assert "requests to big" in called.out and not server.requests
        assert rot5(*words(server, "ours", "out", *dear, "--max_cost", 100)).code == 0


def test_mistakes_of_the_judge_are_told_in_one_line(rot5, place):
    with serving(lambda request: (401, "who are you?", {})) as server:
        refused(rot5(*words(server)), "401", "ROT5_JUDGE_KEY")
        server.reply = lambda request: (200, "<html>welcome</html>", {})
        refused(rot5(*words(server, "ours", "other")), "none of the 6 answers", "<html>", "other/answers.jsonl")
        address = server.url
    refused(rot5(*words(address)), "2 tries", "0 answers are kept")


@pytest.mark.parametrize(
    ("changes", "phrases"),
    [
        ({"--prompts": "nowhere.jsonl"}, ["cannot read the prompts nowhere.jsonl"]),
        ({"--prompts": "torn.jsonl"}, ["torn.jsonl, line 2", "not valid JSON"]),
        ({"--samples": 0, "--temperature": 0, "--parallel": 0}, ["samples 0", "temperature 0", "parallel 0"]),
        ({"--max_cost": 1}, ["--price_in"]),
        ({"--judge_url": "http://me:secret@127.0.0.1/v1"}, ["ROT5_JUDGE_KEY"]),
        ({"--out": "ours"}, ["ours exists and is no folder of this verb"]),
        ({"judge": "nowhere"}, ["no model 'nowhere'"]),
        ({"judge": "gpt2", "--max_new_tokens": 95}, ["opening 1", "96 positions", "--max_new_tokens"]),
        ({"--judge_modl": "big"}, ["did you mean judge_model?"]),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(rot5, place, changes, phrases):
    Path("torn.jsonl").write_text('{"opening": "A"}\n{"opening"\n')
    given = words("http://127.0.0.1:9/v1")
    for flag, value in changes.items():
        if flag in given:
            given[given.index(flag) + 1] = value
        else:
            given += [flag, value]
    called = rot5(*given)
    refused(called, *phrases)
    assert "secret" not in called.err and not Path("out").exists()


def test_completions_of_another_protocol_are_not_mixed_in(rot5, place):
    with serving(varied) as server:
        assert rot5(*words(server)).code == 0
        asked, rows = len(server.requests), lines("out/completions.jsonl")
        refused(rot5(*words(server, "ours", "out", "--seed", 1)), "seed: 0 -> 1", "--out")
        refused(rot5(*words(server, "gpt2")), "model: ours -> gpt2")
        write("out/completions.jsonl", [*rows, rows[0]])
        refused(rot5(*words(server)), "holds 7 completions, not 3 x 2")
        write("out/completions.jsonl", [rows[0], rows[2], *rows[1:2], *rows[3:]])
        refused(rot5(*words(server)), "completions.jsonl, line 2")
        assert len(server.requests) == asked


def test_without_a_judge_everything_is_measured_and_nothing_asked(rot5, place, corpora):
    given = ("judge", "ours", "--prompts", "prompts.jsonl", "--out", "out", "--samples", 2, "--max_new_tokens", 40)
    with serving(varied) as server:
        called = rot5(*given, "--training", corpora / "stories")
        assert (called.code, called.err) == (0, "") and not server.requests
        assert "Without a judge" in called.out and "In training" in called.out and "Grades" not in called.out
        assert {path.name for path in Path("out").iterdir()} == DRAWN
        found = json.loads(Path("out/judge.json").read_text())
        texts = [row["completion"] for row in lines("out/completions.jsonl")]
        stories = list(documents(Corpus.open(corpora / "stories")))
        openings = [Opening(row["opening"], row.get("instruction", ""), row.get("kind", "")) for row in PROMPTS]
        expected = measure_completions(openings, [texts[n : n + 2] for n in range(0, 6, 2)], stories)
        assert found["offline"] == json.loads(json.dumps(expected)) and "grades" not in found
        assert found["offline"]["instructions_checked"] == 4

        asked = rot5(*given, "--judge_url", server.url, "--judge_model", "big")
        assert asked.code == 0 and "Grades" in asked.out and server.requests
        graded = json.loads(Path("out/judge.json").read_text())
        assert rot5(*given, "--training", corpora / "stories").code == 0
        again = json.loads(Path("out/judge.json").read_text())
        assert again["grades"] == graded["grades"] and again["protocol"]["judge_model"] == "big"
        assert again["offline"] == found["offline"]
        assert again["protocol"]["training"] == str(corpora / "stories")
        assert rot5(*given).code == 0
        again = json.loads(Path("out/judge.json").read_text())
        assert "in_training" not in again["offline"] and "training" not in again["protocol"]
        assert again["protocol"] == graded["protocol"]

    refused(rot5(*given, "--price_in", 1, "--max_cost", 1), "price_in and max_cost without a judge", "--judge_url")
    Path("out/judge.json").write_text('{"grades": ')
    refused(rot5(*given), "out/judge.json is not JSON", "remove it")
    Path("out/judge.json").unlink()
    assert rot5(*given).code == 0


def test_documents_of_a_corpus_are_the_texts_it_was_made_of(corpora):
    from rot5.data.sources import Documents, SourceConfig

    written = list(Documents(SourceConfig(name="storyworld", limit=300)))
    assert list(documents(Corpus.open(corpora / "stories"))) == written


def test_judged_folders_are_reported_by_themselves_and_side_by_side(rot5, place):
    with serving(varied) as server:
        assert rot5(*words(server, "ours", "all/ours")).code == 0
        assert rot5(*words(server, "gpt2", "all/gpt2")).code == 0
    called = rot5("report", "all/ours")
    assert called == (0, "all/ours/report.html\n", "")
    first = lines("all/ours/completions.jsonl")[0]["completion"]
    grammar = json.loads(Path("all/ours/judge.json").read_text())["grades"]["grammar"]
    graded = lines("all/ours/grades.jsonl")[0]["grades"]["grammar"]
    page = html.unescape(Path("all/ours/report.html").read_text())
    for expected in (
        first,
        f"{grammar['mean']:.2f}",
        f"{grammar['low']:.2f} to {grammar['high']:.2f}",
        "6-7",
        "Judge: big",
    ):
        assert expected in page, expected
    assert f"grammar {graded:g}, " in page and "Words: ball, dog" in page and "Names told" in page
    called = rot5("report", "all", "--markdown", "all/results.md")
    assert called.code == 0 and called.err == ""
    page, results = Path("all/report.html").read_text(), Path("all/results.md").read_text()
    assert page.count(">gpt2<") >= 3 and page.count(">ours<") >= 3 and page.count("Opening 1<") == 1
    assert "bootstrap intervals over openings" in results and "over documents" not in results
    assert "## Grades" in results and "| gpt2 |" in results and "| ours |" in results
    Path("all/ours/grades.jsonl").unlink()
    write("all/gpt2/openings.jsonl", [])
    assert rot5("report", "all").code == 0
