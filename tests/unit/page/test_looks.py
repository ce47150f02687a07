"""Looks inside: three files each, kept in memory, the newest few."""

import io
import json

import numpy as np
import pytest

from rot5.errors import UserError
from rot5.loading import Loaded
from rot5.page.looks import KEPT, PATH, TYPES, Look, Shelf, look_html, look_inside


@pytest.fixture
def loaded(corpora, tiny_model) -> Loaded:
    from rot5.data.corpus import Corpus
    from rot5.data.tokenizer import special_ids

    tokenizer = Corpus.open(corpora / "stories").tokenizer()
    ids = special_ids(tokenizer)
    model = tiny_model(
        vocab_size=ids.vocab_size, pad_token_id=ids.pad, eos_token_id=ids.eos, decoder_start_token_id=ids.decoder_start
    )
    return Loaded(model, tokenizer, "")


def test_a_look_is_three_files(loaded):
    found = look_inside("mine", loaded, "Tom had a kite.", integrated=False)
    assert found.files.keys() == TYPES.keys() and "[S]" not in found.answer
    told = json.loads(found.files["inside.json"])
    assert told["model"] == "mine" and told["attribution"]["gap"] is None
    with np.load(io.BytesIO(found.files["inside.npz"])) as arrays:
        assert "attribution/left_out" in arrays and "attribution/integrated" not in arrays
    assert b"Content-Security-Policy" in found.files["inside.html"]


def test_long_texts_are_refused(loaded):
    with pytest.raises(UserError, match="shorten it"):
        look_inside("mine", loaded, "Tom ran. " * 400, integrated=False)


def test_the_newest_looks_are_kept():
    shelf = Shelf()
    names = [shelf.add(Look("", {"inside.html": str(n).encode()})) for n in range(KEPT + 1)]
    assert shelf.file(names[0], "inside.html") is None and shelf.file(names[1], "inside.html") == b"1"
    assert shelf.file(names[1], "../inside.html") is None and shelf.file("guess", "inside.html") is None
    assert len(set(names)) == KEPT + 1 and all(len(name) > 20 for name in names)


def test_a_look_is_framed_without_rights():
    html = look_html("key", Look("<i>", {"inside.html": b"x" * 2_500_000, "inside.json": b"y" * 700}))
    assert 'sandbox="allow-scripts"' in html and f'src="{PATH}/key/inside.html"' in html and 'title="The look' in html
    assert "&lt;i&gt;" in html and "inside.html, 2.5 MB" in html and "inside.json, 1 kB" in html
