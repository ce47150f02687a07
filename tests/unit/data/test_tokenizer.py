"""The tokenizer's ids, round trips, special tokens, pruning and fingerprint."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rot5.data.tokenizer import (
    build_tokenizer,
    byte_lengths,
    fingerprint,
    load_tokenizer,
    padded_vocab_size,
    prune_tokenizer,
    special_ids,
    text_encoder,
)
from rot5.errors import UserError

TEXTS = [
    "",
    " ",
    "Once upon a time, there was a big, red ball.",
    " one leading space",
    "   three leading spaces",
    "many      inner     spaces and trailing  ",
    "two\n\nparagraphs\n",
    "tab\tand\r\nreturn",
    "1234567890 3.14 {a: [1, 2]} <b>x</b>",
    "naïve café ☕ 🙂 👩‍👩‍👧 你好世界 ゼ \u3000 \x00 \u200b",
    "[MASK-3] and </s> and <s> and <0x41> and [PAD][S]",
]
CORPUS = ["Tom and Ann walked  to the red bridge.\n", "Ann's boat (the 3rd one) sank! ☕", "   Tom said: {yes}"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def pruned(tokenizer):
    return prune_tokenizer(tokenizer, CORPUS, num_sentinels=20)


encoder_of = functools.lru_cache(text_encoder)


def pieces(tokenizer, text):
    return encoder_of(tokenizer).encode(text, add_special_tokens=False).tokens


def ids(tokenizer, text):
    return encoder_of(tokenizer).encode(text, add_special_tokens=False).ids


def test_ids_are_in_the_order_of_the_contract(tokenizer):
    assert len(tokenizer) == 32_505
    order = ["[MASK-0]", "[MASK-499]", "[START]", "[PAD]", "[R]", "[S]", "[X]"]
    assert tokenizer.convert_tokens_to_ids(order) == [32_000, 32_499, 32_500, 32_501, 32_502, 32_503, 32_504]
    assert tokenizer.convert_tokens_to_ids(["<unk>", "<s>", "</s>", "<0x00>", "<0xFF>"]) == [0, 1, 2, 3, 258]
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert tokenizer.pad_token_id == 32_501
    special = special_ids(tokenizer)
    assert (special.pad, special.eos, special.decoder_start) == (32_501, 2, 32_500)
    assert special.modes == {"R": 32_502, "S": 32_503, "X": 32_504}
    assert (special.first_sentinel, special.num_sentinels, special.vocab_size) == (32_000, 500, 32_505)


def test_known_ids_of_mistral(tokenizer):
    assert ids(tokenizer, "Hello, world! 42\n") == [22557, 28725, 1526, 28808, 28705, 28781, 28750, 13]
    assert ids(tokenizer, "") == []
    assert pieces(tokenizer, " " * 20) == ["▁" * 16, "▁" * 5]


@pytest.mark.parametrize("num_sentinels", [1, 30])
def test_number_of_sentinels_is_a_setting(num_sentinels):
    special = special_ids(build_tokenizer(num_sentinels))
    assert special.num_sentinels == num_sentinels
    assert special.first_sentinel == 32_000
    assert special.vocab_size == 32_005 + num_sentinels


def test_no_sentinels_is_refused():
    with pytest.raises(UserError, match="num_sentinels"):
        build_tokenizer(0)


@pytest.mark.parametrize("text", TEXTS)
def test_called_the_usual_way_a_text_is_closed_by_eos(tokenizer, text):
    if "[MASK" not in text:
        assert tokenizer(text).input_ids == [*ids(tokenizer, text), tokenizer.eos_token_id]


@pytest.mark.parametrize("text", ["Once upon a time", "  two spaces", ""])
@pytest.mark.parametrize("mode", ["R", "S", "X"])
def test_a_mode_token_before_the_text_leaves_the_text_as_it_is(tokenizer, mode, text):
    expected = [special_ids(tokenizer).modes[mode], *ids(tokenizer, text), tokenizer.eos_token_id]
    assert tokenizer(f"[{mode}]{text}").input_ids == expected


def test_sentinels_written_in_a_prompt_are_read(tokenizer):
    assert tokenizer("a [MASK-3]").input_ids[-2] == special_ids(tokenizer).first_sentinel + 3


def test_special_tokens_written_in_a_document_are_characters(tokenizer):
    special = {tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens}
    text = "[MASK-3] </s> <s> <unk> [PAD] [START] [R]"
    found = ids(tokenizer, text)
    assert special.isdisjoint(found)
    assert tokenizer.decode(found) == text
    # also through the tokenizer's own way of saying so, and without a trace left on the tokenizer
    assert tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids == found
    assert tokenizer("[S]").input_ids[0] == special_ids(tokenizer).modes["S"]


def test_the_encoder_for_documents_never_truncates_or_pads(tokenizer):
    tokenizer(["a", "a longer text than that"], padding=True, truncation=True, max_length=3)
    fresh = text_encoder(tokenizer)
    assert len(fresh.encode("a b c d e f g", add_special_tokens=False).ids) == 7
    assert [len(each.ids) for each in fresh.encode_batch(["a", "a b"], add_special_tokens=False)] == [1, 2]


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(tokenizer, pruned, text):
    for each in (tokenizer, pruned):
        assert each.decode(ids(each, text)) == text


@settings(max_examples=200, deadline=None)
@given(st.text().map(lambda text: text.replace("▁", "")))
def test_round_trip_of_any_text(tokenizer, pruned, text):
    for each in (tokenizer, pruned):
        assert each.decode(each(text, add_special_tokens=False, split_special_tokens=True).input_ids) == text


def test_saved_and_loaded_it_is_the_same(tokenizer, pruned, tmp_path):
    for each in (tokenizer, pruned):
        each.save_pretrained(tmp_path)
        for loaded in (AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)):
            for text in [*TEXTS, "[S] a [MASK-3]", "[X]  b"]:
                assert loaded(text).input_ids == each(text).input_ids
                assert loaded.decode(ids(loaded, text)) == text
            assert loaded("a").keys() == {"input_ids", "attention_mask"}
            assert special_ids(loaded) == special_ids(each)
            assert fingerprint(loaded) == fingerprint(each)
            named = (loaded.pad_token, loaded.eos_token, loaded.bos_token, loaded.unk_token)
            assert named == ("[PAD]", "</s>", "<s>", "<unk>")
            assert (
                loaded.decode([special_ids(loaded).decoder_start, *each("a").input_ids], skip_special_tokens=True)
                == "a"
            )


def test_fingerprint_tells_tokenizers_apart_but_not_their_passing_state(tokenizer, pruned):
    prints = {fingerprint(each) for each in (tokenizer, pruned, build_tokenizer(499))}
    assert len(prints) == 3
    before = fingerprint(tokenizer)
    tokenizer(["a", "a b c d"], padding=True, truncation=True, max_length=2)
    assert fingerprint(tokenizer) == before == fingerprint(build_tokenizer())


def test_byte_lengths(tokenizer, pruned):
    for each in (tokenizer, pruned):
        lengths = byte_lengths(each)
        assert lengths.dtype == np.int32 and lengths.shape == (len(each),)
        special = special_ids(each)
        assert lengths[[0, 1, 2, special.pad, special.decoder_start, special.first_sentinel]].tolist() == [0] * 6
        assert lengths[3:259].tolist() == [1] * 256
        for text in filter(None, TEXTS):
            assert lengths[ids(each, text)].sum() == len(text.encode()) + 1


def test_pruned_texts_encode_to_the_same_pieces(tokenizer, pruned):
    for text in CORPUS:
        assert pieces(pruned, text) == pieces(tokenizer, text)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.text(alphabet=st.sampled_from("abcdehlnorst .,\nTé你"), max_size=60), min_size=1, max_size=4))
def test_any_pruned_texts_encode_to_the_same_pieces(tokenizer, texts):
    small = prune_tokenizer(tokenizer, texts, num_sentinels=3)
    for text in texts:
        assert pieces(small, text) == pieces(tokenizer, text)
        assert small.decode(ids(small, text)) == text


def test_pruned_ids_are_compact_and_in_order(tokenizer, pruned):
    vocabulary = sorted(pruned.get_vocab().items(), key=lambda entry: entry[1])
    assert [index for _, index in vocabulary] == list(range(len(pruned)))
    names = [name for name, _ in vocabulary]
    assert names[:3] == ["<unk>", "<s>", "</s>"]
    assert names[3:259] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert names[-25:] == [*(f"[MASK-{i}]" for i in range(20)), "[START]", "[PAD]", "[R]", "[S]", "[X]"]
    kept = names[259:-25]
    assert kept == sorted(kept, key=tokenizer.convert_tokens_to_ids)
    assert "▁bridge" in kept and "▁mountain" not in kept
    assert len(pruned) < 259 + 25 + 200


def test_pruning_is_deterministic_whatever_the_order_and_keeps_the_sentinels(tokenizer):
    first = prune_tokenizer(tokenizer, CORPUS)
    assert fingerprint(first) == fingerprint(prune_tokenizer(tokenizer, iter(CORPUS[::-1])))
    assert special_ids(first).num_sentinels == 500


def test_pruning_a_pruned_tokenizer_by_the_same_texts_changes_nothing(pruned):
    assert fingerprint(prune_tokenizer(pruned, CORPUS)) == fingerprint(pruned)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no tokenizer at .*mistral"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{broken")
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        load_tokenizer(tmp_path)


def test_the_name_mistral_builds_it(tokenizer):
    assert fingerprint(load_tokenizer("mistral")) == fingerprint(tokenizer)


def test_padded_vocab_size():
    assert [padded_vocab_size(size) for size in (1, 128, 129, 32_505)] == [128, 128, 256, 32_512]
    assert padded_vocab_size(10, multiple=8) == 16
