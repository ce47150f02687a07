"""Records, texts and tables of strangers, and what the tokenizer makes of them."""

import io
import json
from itertools import chain, islice
from random import Random
from typing import NamedTuple

from faults import hostile
from faults.world import World

from rot5.data import preparing, sources
from rot5.data.instruct import InstructRecord, looks_like_instruct, parse_instruct
from rot5.data.parts import Part
from rot5.data.tokenizer import (
    SPACE,
    prune_tokenizer,
    spellings,
    text_encoder,
)

_LINES = (
    "Features:",
    "Words:",
    "Summary:",
    "Random sentence:",
    "Story:",
    "Story: \n\n",
    "Mom:",
    "",
    "Summary",
    " Story:",
)


def make_record(world: World, draw: Random) -> str:
    lines = [draw.choice(_LINES) + hostile.text(draw, 4) for _ in range(draw.randint(0, 7))]
    return "\n".join(lines)


def check_record(world: World, text: str) -> None:
    """All that is read of a record stands in it, in good form, and written down again it reads the same."""
    record, known = parse_instruct(text), looks_like_instruct(text)
    assert known or not (record.story and (record.summary or record.words)), "it was a record after all"
    assert record.story == record.story.strip() and record.story in text
    assert record.summary != "" and record.random_sentence != ""
    for sentence in filter(None, (record.summary, record.random_sentence)):
        assert sentence == " ".join(sentence.split()) and all(word in text for word in sentence.split())
    for item in (*record.features, *record.words):
        assert item == item.strip() != "" and "," not in item
    assert parse_instruct(written(record)) == record


def written(record: InstructRecord) -> str:
    items = [f"Features: {', '.join(record.features)}", f"Words: {', '.join(record.words)}"]
    sentences = [f"Summary: {record.summary or ''}", f"Random sentence: {record.random_sentence or ''}"]
    return "\n".join([*items, *sentences, f"Story: {record.story}"])


class Table(NamedTuple):
    """A file of a stranger, and as what it is read."""

    suffix: str
    data: bytes
    pairs: bool
    parts: int


def make_table(world: World, draw: Random) -> Table:
    suffix = draw.choice((".txt", ".jsonl", ".jsonl", ".csv", ".csv", ".parquet"))
    rows = [
        {
            key: hostile.value(draw) if draw.random() < 0.1 else hostile.text(draw)
            for key in ("text", "story", "summary")
        }
        for _ in range(draw.randint(0, 4))
    ]
    if suffix == ".txt":
        data = "<|endoftext|>".join(make_record(world, draw) for _ in range(draw.randint(0, 4)))
        data = data.encode("utf-8", draw.choice(("surrogatepass", "replace")))
    elif suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=draw.random() < 0.5) for row in rows)
        data = draw.choice(("\n", "\r\n", "\n\n")).join(lines).encode("utf-8", "surrogatepass")
    elif suffix == ".csv":
        data = _as_csv(rows, draw)
    else:
        data = _as_parquet(rows)
    return Table(
        suffix, hostile.damaged(data, draw) if draw.random() < 0.6 else data, draw.random() < 0.3, draw.randint(1, 4)
    )


def _as_csv(rows: list[dict], draw: Random) -> bytes:
    header = draw.choice(("text,story,summary", '"text","story",summary,', "story,text,text,summary"))
    cells = (f'"{cell}"' if draw.random() < 0.7 else str(cell) for row in rows for cell in row.values())
    lines = [header, *(",".join(islice(cells, 3)) for _ in rows)]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _as_parquet(rows: list[dict]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    columns = {
        key: [str(row[key]).encode("utf-8", "replace").decode() for row in rows] for key in ("text", "story", "summary")
    }
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def check_table(world: World, table: Table) -> None:
    """What is read of a file is text that a tokenizer takes, never blank, and the same in parts."""
    path = world.file(f"table{table.suffix}", table.data)
    source = sources.SourceConfig(name=str(path))
    if table.pairs:
        rows = [(pair.input, pair.target) for pair in sources.pairs(source)]
    else:
        rows = [(text,) for text in sources.Documents(source)]
        parts = (sources.Documents(source, Part(number, table.parts)) for number in range(table.parts))
        assert rows == [(text,) for text in chain.from_iterable(parts)]
    assert rows and all(text.strip() for text in chain.from_iterable(rows))
    for batch in preparing._batches(iter(rows), 0):
        for column in batch:
            world.encoders[2].encode_batch_fast(column, add_special_tokens=False)


class Written(NamedTuple):
    """A text for one of the tokenizers; perhaps others that a tokenizer is pruned to."""

    tokenizer: int
    text: str
    pruned_to: tuple[str, ...]


def make_written(world: World, draw: Random) -> Written:
    pruned_to = tuple(_utf8(hostile.text(draw)) for _ in range(2)) if draw.random() < 0.002 else ()
    return Written(draw.randrange(3), _utf8(hostile.text(draw, 12)), pruned_to)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def check_written(world: World, case: Written) -> None:
    """Every text decodes to itself, but that ▁ becomes a space, and none of it is read as a special token."""
    tokenizer, encoder = world.tokenizers[case.tokenizer], world.encoders[case.tokenizer]
    spelled = world.spellings[case.tokenizer]
    if case.pruned_to:
        tokenizer = prune_tokenizer(world.tokenizers[2], case.pruned_to, 3)
        for text in case.pruned_to:
            kept, before = (
                each.encode(text, add_special_tokens=False).tokens
                for each in (text_encoder(tokenizer), world.encoders[2])
            )
            assert kept == before
        encoder, spelled = text_encoder(tokenizer), spellings(tokenizer)
    ids = encoder.encode(case.text, add_special_tokens=False).ids
    expected = case.text.replace(SPACE, " ")
    assert tokenizer.decode(ids, skip_special_tokens=False) == expected
    assert all(spelled[index] for index in ids), "a special token"
    assert b"".join(spelled[index] for index in ids) == (b" " + expected.encode() if case.text else b"")
