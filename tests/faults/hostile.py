"""What a stranger may send: values, texts, JSON, YAML and damaged bytes, drawn from a `Random`."""

import json
from random import Random
from typing import Any

NUMBERS = (
    0, -1, 1, 2, 3, 7, 8, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    -(2**63) - 1, 10**30, 10**400,
)  # fmt: skip
FLOATS = (0.0, -0.0, 0.15, 0.5, 1.0, 3.0, 1.5, -1.5, 1e-300, 5e-324, 1e300, float("nan"), float("inf"), -float("inf"))
TEXTS = (
    "", " ", "\n", "\r\n", "\r", "\0", "\ufeff", "\u2028", "\x85", "\x0b", "\x1c", "\u00a0", "\u3000", "\u200b",
    "▁", "▁▁", "\ud800", "\udfff", "\ud83d\ude00", "☕", "👩‍👩‍👧", "e\u0301", "ﷺ", "İ", "\u202e", "a" * 300,
    "<|endoftext|>", "[MASK-0]", "[MASK-99]", "[S]", "[PAD]", "[START]", "</s>", "<s>", "<unk>", "<0x41>", "<0x0A>",
    "Story:", "Summary: ", "null", "true", "NaN", "1e400", "0x1F", "../../x", "/etc/passwd", "${HOME}", "%s{}", "a,b",
    '"', "'", "`", "--", "=", "#", ": ",
)  # fmt: skip
WORDS = ("A dog ran.", "Tom", "said", "home", "one day", "no!", "red", "The cat sat on the mat.", "3rd", "{yes}")


def text(draw: Random, most: int = 6) -> str:
    """A few words and what is no word."""
    parts = (draw.choice(TEXTS if draw.random() < 0.4 else WORDS) for _ in range(draw.randint(0, most)))
    made = draw.choice(("", " ", "  ", "\n")).join(parts)
    return made + chr(draw.randrange(0x110000)) if draw.random() < 0.1 else made


def value(draw: Random, depth: int = 2) -> Any:
    """What JSON can hold, and what Python's JSON adds to it."""
    kind = draw.randrange(8 if depth else 6)
    if kind == 0:
        return draw.choice((None, True, False, [], {}))
    if kind in (1, 2):
        return draw.choice(NUMBERS)
    if kind == 3:
        return draw.choice(FLOATS)
    if kind in (4, 5):
        return text(draw, 2)
    if kind == 6:
        return [value(draw, depth - 1) for _ in range(draw.randint(0, 3))]
    return {text(draw, 1): value(draw, depth - 1) for _ in range(draw.randint(0, 3))}


def changed(tree: Any, draw: Random) -> Any:
    """The tree with one of its values another, missing, beside a stranger, or taken from elsewhere in it."""
    holders = [each for each in _holders(tree) if each]
    if not holders or draw.random() < 0.02:
        return value(draw)
    holder = draw.choice(holders)
    key = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    way = draw.randrange(6)
    if way == 0:
        del holder[key]
    elif way == 1:
        other = draw.choice(holders)
        holder[key] = json.loads(json.dumps(draw.choice(list(other.values()) if isinstance(other, dict) else other)))
    elif way == 2 and isinstance(holder, dict):
        holder[text(draw, 1)] = value(draw)
    elif way == 3 and isinstance(holder[key], str):
        holder[key] += text(draw, 1)
    elif way == 4 and isinstance(holder[key], int | float) and abs(holder[key]) < 2**64:
        holder[key] = draw.choice(
            (holder[key] + draw.choice((-1, 1)), -holder[key], float(holder[key]), bool(holder[key]))
        )
    else:
        holder[key] = value(draw)
    return tree


def _holders(tree: Any) -> list[dict | list]:
    """The dicts and lists of a tree."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [*([tree] if isinstance(tree, dict | list) else []), *(found for each in inner for found in _holders(each))]


def as_json(tree: Any, draw: Random) -> bytes:
    """The tree as JSON of some writer, now and then damaged."""
    written = json.dumps(tree, ensure_ascii=draw.random() < 0.5, indent=draw.choice((None, 2)))
    data = written.encode("utf-8", "surrogatepass")
    return damaged(data, draw) if draw.random() < 0.2 else data


def damaged(data: bytes, draw: Random) -> bytes:
    """The bytes, damaged once or a few times."""
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at, end = sorted((draw.randint(0, len(data)), draw.randint(0, len(data))))
        way = draw.randrange(10)
        if way == 0:
            data = data[:at]
        elif way == 1 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        elif way == 2:
            data = data[:at] + data[end:]
        elif way == 3:
            data = data[:end] + data[at : at + 200] + data[end:]
        elif way == 4:
            data = data[:at] + draw.randbytes(draw.randint(1, 8)) + data[at:]
        elif way == 5:
            data = data[:at] + draw.choice(TEXTS).encode("utf-8", "surrogatepass") + data[end if end - at < 9 else at :]
        elif way == 6:
            data = draw.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"PK\x03\x04", b"\x80\x04")) + data
        elif way == 7:
            data = data.replace(
                *draw.choice(((b"\n", b"\r\n"), (b"\n", b"\r"), (b'"', b"'"), (b":", b""), (b" ", b"\t")))
            )
        elif way == 8:
            data = data[:at] + _deep(draw) + data[at:]
        else:
            data = data[:at] + b"9" * draw.choice((20, 400, 5000)) + data[at:]
    return data


def _deep(draw: Random) -> bytes:
    """Brackets within brackets."""
    times = draw.choice((10, 300, 3000, 100_000))
    opening = draw.choice((b"[", b'{"a":', b"- ", b"(", b"{a: ", b"!!"))
    return opening * (times // len(opening))


def as_yaml(tree: Any, draw: Random) -> bytes:
    """The tree as YAML, which JSON is, with what YAML adds to it, now and then damaged."""
    import yaml

    if draw.random() < 0.5:
        written = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=draw.random() < 0.3)
        data = written.encode("utf-8", "surrogatepass")
    else:
        data = json.dumps(tree).encode()
    if draw.random() < 0.2:
        lines = data.split(b"\n")
        at = draw.randrange(len(lines))
        lines[at] = lines[at].partition(b":")[0] + b": " + draw.choice(YAML)
        data = b"\n".join(lines)
    if draw.random() < 0.05:
        data = _bomb(draw) + b"\n" + data
    return damaged(data, draw) if draw.random() < 0.2 else data


YAML = (
    b"&a [*a]", b"&a {b: *a}", b"*a", b"!!python/object/apply:os.system [true]", b"!!int x", b"!!int ''", b"!!float x",
    b"!!timestamp 2001-99-99", b"2001-99-99", b"2001-01-01", b"2001-01-01 99:99:99", b"2001-01-01 00:00:00 +99:99",
    b"12:30:45", b"0x", b"0b_", b"0_", b"1_000", b"._", b".inf", b".nan", b"010", b"1e5", b"yes", b"~", b"!!null x",
    b"!!binary x", b"!!set {a, b}", b"!!omap [a: 1]", b"!!pairs [a: 1]", b"!!bool maybe", b"!!str [a]", b"!!map 3",
    b"!!seq {}", b"<<: 3", b"{<<: [1]}", b"? [a]\n: b", b"{? {a: b} : c}", b"|\n  text", b"\tx", b"'\\ud800'",
    b'"\\ud800"', b"% x", b"@x", b"---\nb: 1",
)  # fmt: skip
"""Values that only YAML has."""


def _bomb(draw: Random) -> bytes:
    """Aliases of aliases: few lines that stand for a great many values."""
    width, depth = draw.choice(((2, 5), (9, 9), (10, 30)))
    first, level = draw.choice((("lol", "[%s]"), ("{a: 1}", "{<<: [%s]}")))
    levels = [f"l{n}: &l{n} {level % ', '.join([f'*l{n - 1}'] * width)}" for n in range(1, depth)]
    places = ("%s", "seed: {%s}", "model: {rope_parameters: {%s}}", "denoise: {denoisers: [{%s}]}")
    return (draw.choice(places) % ", ".join([f"l0: &l0 {first}", *levels])).encode()
