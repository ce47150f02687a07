"""`rot5 judge`: openings of stories completed by a model; the completions measured, and graded by a language model."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from rot5.config import JudgeConfig
from rot5.data.corpus import Corpus, documents
from rot5.errors import UserError
from rot5.evaluation import completions, judge, rubric
from rot5.evaluation.completion_measures import measure_completions
from rot5.evaluation.completions import SampleConfig
from rot5.evaluation.judge import Answers, Endpoint, Judge
from rot5.evaluation.rubric import Grades, Opening
from rot5.folders import LOCK, sole, write_json
from rot5.progress import counted, shown
from rot5.report.judged import (
    AGE_COLUMNS,
    GRADE_COLUMNS,
    OFFLINE_COLUMNS,
    age_rows,
    grade_rows,
    offline_row,
)
from rot5.report.tables import text_table
from rot5.train.run_folder import difference
from rot5.train.samples import write_samples


def run(config: JudgeConfig) -> None:
    """Complete, measure, estimate, ask, and print the tables; what was done before is not done again."""
    drawing = SampleConfig(
        samples=config.samples,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
        seed=config.seed,
    )
    endpoint = _endpoint(config) if config.judge_url or config.judge_model else None
    judging = judge.problems(endpoint) + _price_problems(config) if endpoint else _prices_of_nothing(config)
    if found := completions.problems(drawing) + judging:
        raise UserError("; ".join(found))
    key = judge.key_of_environment() if endpoint else ""
    openings = rubric.read_openings(Path(config.prompts))
    training = Corpus.open(Path(config.training)) if config.training else None
    with sole(Path(config.out)):
        found = _judge(config, drawing, endpoint, key, openings, training)
    show(found)


def _judge(
    config: JudgeConfig,
    drawing: SampleConfig,
    endpoint: Endpoint | None,
    key: str,
    openings: list[Opening],
    training: Corpus | None,
) -> dict:
    """Do what is missing in the folder, and give what its judge.json says."""
    out = Path(config.out)
    drawn = {
        "model": config.model,
        "prompts_sha256": hashlib.sha256(Path(config.prompts).read_bytes()).hexdigest(),
        **asdict(drawing),
        "top_k": 0,
        "top_p": 1.0,
    }
    texts = _completed(out, openings, drawn, drawing)
    write_samples(out / "openings.jsonl", [asdict(opening) for opening in openings])
    graded = _judged(config, endpoint, key, openings, texts) if endpoint else _graded_before(out)
    offline = measure_completions(openings, texts, documents(training) if training else None)
    protocol = drawn | graded.pop("protocol", {}) | ({"training": config.training} if training else {})
    found = {"protocol": protocol, **graded, "offline": offline}
    write_json(out / "judge.json", found)
    return found


def show(found: dict) -> None:
    """Print the tables of a judge.json."""
    console = Console(width=None if Console().is_terminal else 140)
    console.print(text_table([offline_row("model", found["offline"])], OFFLINE_COLUMNS, "Without a judge"))
    if "grades" not in found:
        return
    console.print(text_table(grade_rows(found), GRADE_COLUMNS, "Grades"))
    console.print(text_table(age_rows(found), AGE_COLUMNS, "Age of the writer, as guessed"))
    console.print(f"{found['judged']} judged, {found['unreadable']} unreadable", highlight=False)


def _endpoint(config: JudgeConfig) -> Endpoint:
    return Endpoint(
        url=config.judge_url,
        model=config.judge_model,
        answer_tokens=config.answer_tokens,
        parallel=config.parallel,
        timeout=config.timeout,
        retries=config.retries,
    )


def _judged(config: JudgeConfig, endpoint: Endpoint, key: str, openings: list[Opening], texts: list[list[str]]) -> dict:
    """Ask, write the grades, and give what judge.json says of them. Raises UserError if no answer could be read."""
    out = Path(config.out)
    asked = [
        endpoint.request(rubric.question(opening, text))
        for opening, of_one in zip(openings, texts, strict=True)
        for text in of_one
    ]
    answers = Answers(out / "answers.jsonl")
    asker = Judge(endpoint, answers, key)
    _announce(config, asker, asked)
    grades, readings = _graded(asker, asked, openings, config.samples)
    rows = [
        {"opening": n // config.samples, "sample": n % config.samples, "request": identity}
        | ({"grades": each.scores, "age": each.age} if each else {"grades": None, "age": None})
        for n, (each, identity) in enumerate(zip(grades, readings, strict=True))
    ]
    write_samples(out / "grades.jsonl", rows)
    if not any(grades):
        first = " ".join(answers[readings[0]].split())[:80]
        raise UserError(
            f"none of the {len(grades)} answers of {config.judge_model} could be read (the first: {first!r}): see "
            f"{answers.path}, and remove it to ask again"
        )
    found = rubric.summarize([grades[n : n + config.samples] for n in range(0, len(grades), config.samples)])
    protocol = {
        "judge_url": config.judge_url,
        "judge_model": config.judge_model,
        "judge_temperature": 0,
        "answer_tokens": config.answer_tokens,
        "rubric_sha256": rubric.fingerprint(),
    }
    return {"protocol": protocol, **found}


def _graded_before(out: Path) -> dict:
    """What an earlier call with a judge found of the same completions, or nothing. Raises UserError for a torn file."""
    file = out / "judge.json"
    if not file.is_file():
        return {}
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not JSON: remove it to have it written anew from what lies beside it") from error
    if "grades" not in before:
        return {}
    before["protocol"].pop("training", None)  # of the measures, which are taken anew
    return {key: value for key, value in before.items() if key != "offline"}


def _prices_of_nothing(config: JudgeConfig) -> list[str]:
    given = [key for key in ("price_in", "price_out", "max_cost") if getattr(config, key)]
    return [f"{' and '.join(given)} without a judge: give --judge_url and --judge_model"] if given else []


def _price_problems(config: JudgeConfig) -> list[str]:
    found = [
        f"{key} {getattr(config, key)} must be a number that is not negative"
        for key in ("price_in", "price_out", "max_cost")
        if not 0 <= getattr(config, key) < float("inf")
    ]
    if config.max_cost and not (config.price_in or config.price_out):
        found.append("max_cost needs --price_in and --price_out, per million tokens")
    return found


def _completed(out: Path, openings: list[Opening], drawn: dict, drawing: SampleConfig) -> list[list[str]]:
    """All completions of each opening: those that are there, and the others made now.

    Raises UserError if the folder's were drawn otherwise.
    """
    note, file = out / "completions.json", out / "completions.jsonl"
    if note.is_file():
        try:
            before = json.loads(note.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{note} is not JSON: choose another --out") from error
        if changed := difference(before, drawn):
            raise UserError(f"{out} holds completions of other settings ({'; '.join(changed)}): choose another --out")
    elif out.is_file() or (out.is_dir() and any(entry.name != LOCK for entry in out.iterdir())):
        raise UserError(f"{out} exists and is no folder of this verb (no completions.json): choose another --out")
    texts = completions.read_completions(file, len(openings), drawing.samples)
    if len(texts) == len(openings):
        return texts
    writer = completions.load_writer(drawn["model"])
    missing = range(len(texts), len(openings))
    for number in counted(missing, "completing openings", len(missing)):
        texts.append(completions.complete(writer, openings[number].given, drawing, number))
        if not note.is_file():
            out.mkdir(parents=True, exist_ok=True)
            write_json(note, drawn)
        completions.add_completions(file, number, texts[-1])
    return texts


def _announce(config: JudgeConfig, asker: Judge, asked: list[dict]) -> None:
    """Print what asking will take. Raises UserError where that is more than it may."""
    missing = asker.missing(asked)
    found = judge.estimate(missing.values())
    cost = found.cost(config.price_in, config.price_out)
    priced = f", cost at most about {cost:.2f}" if config.price_in or config.price_out else ""
    print(
        f"{found.requests:,} requests to {config.judge_model} ({len(asked):,} completions, the others are answered): "
        f"about {found.tokens_in:,} tokens in, at most {found.tokens_out:,} out{priced} "
        f"({judge.CHARACTERS_PER_TOKEN} characters a token; an unreadable answer is asked for once more)",
        flush=True,
    )
    if config.max_cost and cost > config.max_cost:
        raise UserError(
            f"asking would cost up to about {cost:.2f}, more than max_cost {config.max_cost:.2f}: raise it, or lower "
            "--answer_tokens"
        )


def _graded(
    asker: Judge, asked: list[dict], openings: list[Opening], samples: int
) -> tuple[list[Grades | None], list[str]]:
    """The grades of each completion, and the request whose answer they were read from; the unreadable asked twice."""
    dimensions = [openings[n // samples].dimensions for n in range(len(asked))]
    with shown("asking the judge", len(asker.missing(asked))) as tell:
        answers = asker.ask(asked, tell)
    grades = [rubric.parse(answer, of_one) for answer, of_one in zip(answers, dimensions, strict=True)]
    requests = list(asked)
    unread = [n for n, each in enumerate(grades) if each is None]
    for n in unread:
        requests[n] = asker.endpoint.request(rubric.question_again(asked[n]["messages"], answers[n]))
    for n, answer in zip(unread, asker.ask([requests[n] for n in unread]), strict=True):
        grades[n] = rubric.parse(answer, dimensions[n])
    return grades, [asker.endpoint.identity(request) for request in requests]
