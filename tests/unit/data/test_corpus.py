"""Preparing corpora and reading them back."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from rot5.data import preparing as module
from rot5.data.corpus import Corpus, PairCorpus
from rot5.data.preparing import prepare, prepare_pairs
from rot5.data.sources import Pair
from rot5.data.tokenizer import build_tokenizer, fingerprint, prune_tokenizer, special_ids, text_encoder
from rot5.errors import UserError

DOCUMENTS = [
    "Tom saw a dog.",
    "  Ann  ran.\n\nShe fell ☕.",
    "a",
    "The literal [MASK-3] and </s> are text.",
    "Once upon a time there was a very big red ball that rolled and rolled and rolled.",
    "你好 end",
]
PAIRS = [
    Pair("Tom saw a dog.", "A dog.", ("A dog.", "Tom's dog.", "Dog ☕"), 0),
    Pair("Ann ran. She fell.", "Ann fell.", ("Ann fell.",), 2),
    Pair("x", "y", ("y",), 7),
]


@pytest.fixture(scope="module")
def tokenizer():
    return prune_tokenizer(build_tokenizer(), DOCUMENTS, num_sentinels=5)


@pytest.fixture(scope="module")
def ids(tokenizer):
    """What each document has to be: encoded one by one."""
    encoder = text_encoder(tokenizer)
    return [encoder.encode(text, add_special_tokens=False).ids for text in DOCUMENTS]


@pytest.fixture
def prepared(tmp_path, tokenizer):
    prepare(DOCUMENTS, tokenizer, tmp_path / "corpus", source="six texts", licence="CC0")
    return Corpus.open(tmp_path / "corpus")


def rows(ragged):
    return [ragged.row(i).tolist() for i in range(len(ragged.lengths))]


def read_all(corpus):
    return rows(corpus.read(np.arange(corpus.num_documents), np.zeros(corpus.num_documents, int), corpus.lengths))


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir())


def test_documents_come_back_as_encoded(prepared, ids, tokenizer):
    assert read_all(prepared) == ids
    assert [prepared.tokenizer().decode(row) for row in ids] == DOCUMENTS
    special = special_ids(tokenizer)
    assert {special.eos, special.first_sentinel + 3}.isdisjoint(token for row in read_all(prepared) for token in row)


def test_counts_and_manifest(prepared, ids, tokenizer, tmp_path):
    assert prepared.num_documents == len(DOCUMENTS)
    assert prepared.num_tokens == sum(map(len, ids))
    assert prepared.num_bytes == sum(len(text.encode()) for text in DOCUMENTS)
    assert prepared.lengths.dtype == np.int64 and prepared.lengths.tolist() == list(map(len, ids))
    assert prepared.tokenizer_fingerprint == fingerprint(tokenizer)
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text())
    assert (manifest["kind"], manifest["source"], manifest["licence"]) == ("documents", "six texts", "CC0")
    on_disk = {path.relative_to(prepared.folder).as_posix() for path in prepared.folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == on_disk - {"manifest.json"}
    for name, seal in manifest["files"].items():
        content = (prepared.folder / name).read_bytes()
        assert seal == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_what_prepare_returns_is_the_manifest(tmp_path, tokenizer):
    manifest = prepare(DOCUMENTS, tokenizer, tmp_path / "c", source="s")
    assert manifest == json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert manifest["licence"] == "unknown"


@pytest.mark.parametrize("max_shard_tokens", [1, 7, 12, 30, 31, 1000])
@pytest.mark.parametrize("characters", [1, 40, 1 << 20])
def test_shards_and_batches_do_not_matter(tmp_path, tokenizer, ids, monkeypatch, max_shard_tokens, characters):
    monkeypatch.setattr(module, "_CHARACTERS_PER_BATCH", characters)
    prepare(iter(DOCUMENTS), tokenizer, tmp_path / "c", source="s", max_shard_tokens=max_shard_tokens)
    corpus = Corpus.open(tmp_path / "c")
    assert read_all(corpus) == ids
    sizes = [len(np.load(path)) for path in sorted(corpus.folder.glob("tokens-*.npy"))]
    assert sum(sizes) == corpus.num_tokens
    longest = max(map(len, ids))
    assert all(0 < size <= max(max_shard_tokens, longest) for size in sizes)
    if max_shard_tokens == 1:
        assert sizes == list(map(len, ids))
    corpus.verify()


def test_a_shard_may_be_filled_to_the_last_token(tmp_path, tokenizer, ids):
    exactly = len(ids[0]) + len(ids[1])
    prepare(DOCUMENTS[:3], tokenizer, tmp_path / "c", source="s", max_shard_tokens=exactly)
    assert [len(np.load(tmp_path / "c" / f"tokens-0000{n}.npy")) for n in (0, 1)] == [exactly, len(ids[2])]


def test_shard_files_are_what_the_contract_says(tmp_path, tokenizer, ids):
    prepare(DOCUMENTS, tokenizer, tmp_path / "c", source="s")
    tokens = np.load(tmp_path / "c" / "tokens-00000.npy")
    offsets = np.load(tmp_path / "c" / "offsets-00000.npy")
    assert (tokens.dtype, offsets.dtype) == (np.uint16, np.int64)
    assert tokens.tolist() == [token for row in ids for token in row]
    assert offsets.tolist() == [0, *np.cumsum([len(row) for row in ids])]


def enlarged(tokenizer: PreTrainedTokenizerFast, count: int) -> PreTrainedTokenizerFast:
    """The tokenizer with so many pieces that nothing uses between the first three, which are special, and its own."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    own = {piece: number + count * (number > 2) for piece, number in state["model"]["vocab"].items()}
    state["model"]["vocab"] = own | {f"unused{number}": number for number in range(3, 3 + count)}
    for token in state["added_tokens"]:
        token["id"] += count * (token["id"] > 2)
    named = {key: getattr(tokenizer, key) for key in ("unk_token", "bos_token", "eos_token", "pad_token")}
    extras = [token["content"] for token in state["added_tokens"] if token["content"] not in named.values()]
    backend = Tokenizer.from_str(json.dumps(state))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **named, extra_special_tokens=extras, clean_up_tokenization_spaces=False
    )


def test_more_than_65536_ids_need_four_bytes(tmp_path, tokenizer):
    large = enlarged(tokenizer, 65_600)
    prepare(["你好 a"], large, tmp_path / "c", source="s")
    stored = np.load(tmp_path / "c" / "tokens-00000.npy")
    assert stored.dtype == np.uint32 and stored.min() > 65_536
    assert large.decode(read_all(Corpus.open(tmp_path / "c"))[0]) == "你好 a"


@pytest.mark.parametrize("max_shard_tokens", [10, 1000])
def test_read_any_parts_in_any_order(tmp_path, tokenizer, ids, max_shard_tokens):
    prepare(DOCUMENTS, tokenizer, tmp_path / "c", source="s", max_shard_tokens=max_shard_tokens)
    corpus = Corpus.open(tmp_path / "c")
    generator = np.random.default_rng(0)
    documents = generator.integers(0, len(DOCUMENTS), 200)
    cuts = np.sort(generator.integers(0, corpus.lengths[documents] + 1, (2, 200)), axis=0)
    found = corpus.read(documents, *cuts)
    assert rows(found) == [ids[d][a:b] for d, a, b in zip(documents, *cuts, strict=True)]
    assert found.values.dtype == found.offsets.dtype == np.int64
    nothing = corpus.read(np.array([], int), np.array([], int), np.array([], int))
    assert (nothing.values.shape, nothing.offsets.tolist()) == ((0,), [0])


def test_reading_beyond_a_document_is_a_mistake_of_ours(prepared):
    for document, start, stop in ((0, 0, prepared.lengths[0] + 1), (0, -1, 1), (0, 2, 1), (-1, 0, 1)):
        with pytest.raises(AssertionError):
            prepared.read(np.array([document]), np.array([start]), np.array([stop]))


def test_empty_documents_keep_their_place(tmp_path, tokenizer, ids):
    for max_shard_tokens in (1, 100):
        texts = ["", DOCUMENTS[0], "", "", DOCUMENTS[2]]
        prepare(texts, tokenizer, tmp_path / "c", source="s", max_shard_tokens=max_shard_tokens)
        corpus = Corpus.open(tmp_path / "c")
        assert read_all(corpus) == [[], ids[0], [], [], ids[2]]


def test_a_copy_in_another_process_reads_the_same(prepared, ids):
    packed = pickle.dumps(prepared)
    assert len(packed) < 1000
    assert read_all(pickle.loads(packed)) == ids


def test_another_tokenizer_is_refused(prepared, tokenizer):
    prepared.check_tokenizer(tokenizer)
    prepared.check_tokenizer(prepared.tokenizer())
    with pytest.raises(UserError, match="prepared with another tokenizer"):
        prepared.check_tokenizer(build_tokenizer())


class TestFaults:
    def test_no_documents_leave_nothing(self, tmp_path, tokenizer):
        with pytest.raises(UserError, match="no documents in nowhere"):
            prepare([], tokenizer, tmp_path / "c", source="nowhere")
        with pytest.raises(UserError, match="no pairs in nowhere"):
            prepare_pairs([], tokenizer, tmp_path / "c", source="nowhere")
        assert left_behind(tmp_path) == []

    def test_a_fault_in_the_middle_leaves_nothing_or_the_old_corpus(self, tmp_path, tokenizer, ids, monkeypatch):
        monkeypatch.setattr(module, "_CHARACTERS_PER_BATCH", 1)

        def broken(items):
            yield from items
            raise UserError("a faulty line")

        for call, items in ((prepare, DOCUMENTS), (prepare_pairs, PAIRS)):
            with pytest.raises(UserError, match="a faulty line"):
                call(broken(items), tokenizer, tmp_path / "c", source="s")
            assert left_behind(tmp_path) == []
        prepare(DOCUMENTS, tokenizer, tmp_path / "c", source="s")
        with pytest.raises(UserError, match="a faulty line"):
            prepare(broken(DOCUMENTS[:2]), tokenizer, tmp_path / "c", source="s")
        assert left_behind(tmp_path) == ["c"]
        assert read_all(Corpus.open(tmp_path / "c")) == ids

    def test_a_corpus_is_replaced_and_anything_else_is_not(self, tmp_path, tokenizer, ids):
        for texts in (DOCUMENTS[:2], DOCUMENTS):
            prepare(texts, tokenizer, tmp_path / "c", source="s", max_shard_tokens=1)
        assert read_all(Corpus.open(tmp_path / "c")) == ids
        mine = tmp_path / "mine"
        mine.mkdir()
        prepare(DOCUMENTS, tokenizer, mine, source="s")  # an empty folder is free
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "thesis.txt").write_text("years of work")
        for call, items in ((prepare, DOCUMENTS), (prepare_pairs, PAIRS)):
            for name in ("other", "other/thesis.txt"):
                with pytest.raises(UserError, match="is not a corpus"):
                    call(items, tokenizer, tmp_path / name, source="s")
        assert (tmp_path / "other" / "thesis.txt").read_text() == "years of work"

    def test_half_a_character_is_told_by_the_document(self, tmp_path, tokenizer):
        with pytest.raises(UserError, match="document 1 holds a lone surrogate at character 2"):
            prepare(["ok", "a \ud800"], tokenizer, tmp_path / "c", source="s")
        assert left_behind(tmp_path) == []

    def test_no_corpus_there(self, tmp_path, tokenizer):
        (tmp_path / "manifest.json").write_text("{}")
        for kind in (Corpus, PairCorpus):
            with pytest.raises(UserError, match="no corpus at"):
                kind.open(tmp_path / "absent")
            with pytest.raises(UserError, match=r"manifest\.json is no manifest of prepared data"):
                kind.open(tmp_path)
        prepare(DOCUMENTS, tokenizer, tmp_path / "documents", source="s")
        prepare_pairs(PAIRS, tokenizer, tmp_path / "pairs", source="s")
        with pytest.raises(UserError, match="holds documents, not pairs"):
            PairCorpus.open(tmp_path / "documents")
        with pytest.raises(UserError, match="holds pairs, not documents"):
            Corpus.open(tmp_path / "pairs")

    @pytest.mark.parametrize("name", ["tokens-00000.npy", "offsets-00000.npy", "tokenizer/tokenizer.json"])
    def test_missing_and_shortened_files(self, prepared, name):
        path = prepared.folder / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(UserError, match=f"incomplete: {name}"):
            Corpus.open(prepared.folder)
        path.unlink()
        with pytest.raises(UserError, match=f"incomplete: {name}"):
            Corpus.open(prepared.folder)

    def test_a_changed_byte_is_found_by_verify(self, prepared):
        prepared.verify()
        path = prepared.folder / "tokens-00000.npy"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"damaged: tokens-00000\.npy"):
            Corpus.open(prepared.folder).verify()


class TestPairs:
    @pytest.mark.parametrize("max_shard_tokens", [1, 1000])
    def test_pairs_come_back(self, tmp_path, tokenizer, max_shard_tokens, monkeypatch):
        monkeypatch.setattr(module, "_CHARACTERS_PER_BATCH", 20)
        manifest = prepare_pairs(
            iter(PAIRS), tokenizer, tmp_path / "p", source="s", licence="CC0", max_shard_tokens=max_shard_tokens
        )
        assert manifest == json.loads((tmp_path / "p" / "manifest.json").read_text())
        assert (manifest["kind"], manifest["pairs"], manifest["licence"]) == ("pairs", 3, "CC0")
        found = PairCorpus.open(tmp_path / "p")
        assert len(found) == found.inputs.num_documents == found.targets.num_documents == 3
        encoder = text_encoder(tokenizer)
        for side, texts in ((found.inputs, [p.input for p in PAIRS]), (found.targets, [p.target for p in PAIRS])):
            assert read_all(side) == [encoder.encode(text, add_special_tokens=False).ids for text in texts]
        assert list(found.references()) == PAIRS
        found.verify()
        found.check_tokenizer(found.tokenizer())
        with pytest.raises(UserError, match="another tokenizer"):
            found.check_tokenizer(build_tokenizer())

    def test_incomplete_and_changed(self, tmp_path, tokenizer):
        prepare_pairs(PAIRS, tokenizer, tmp_path / "p", source="s")
        references = tmp_path / "p" / "references.jsonl"
        content = references.read_text()
        references.write_text(content.replace("Tom", "Tim"))
        with pytest.raises(UserError, match="damaged"):
            PairCorpus.open(tmp_path / "p").verify()
        references.write_text(content[:-9])
        with pytest.raises(UserError, match="incomplete"):
            PairCorpus.open(tmp_path / "p")
        references.write_text(content)
        (tmp_path / "p" / "targets" / "manifest.json").unlink()
        with pytest.raises(UserError, match="no corpus"):
            PairCorpus.open(tmp_path / "p")
