"""Gaps: the model's own denoisers, what is masked, and how an answer is cut into fillings."""

import pytest

from rot5.data.denoise import DenoiseConfig
from rot5.errors import UserError
from rot5.evaluation.spelled import Reader
from rot5.loading import Loaded, load
from rot5.page.gaps import Filled, denoisers_of, fillings, in_words, mask, page

TEXT = "Tom had a red kite. One day Mia took the red kite. Tom was sad, and Mia gave the red kite back to Tom."


@pytest.fixture
def ours(corpora, tiny_model) -> Loaded:
    from rot5.data.corpus import Corpus

    return Loaded(tiny_model(), Corpus.open(corpora / "stories").tokenizer(), "")


@pytest.mark.parametrize("name", ["R", "X32", "S"])
def test_parts_and_ids_are_the_same_text(ours, name):
    masked = mask(ours, DenoiseConfig(), name, TEXT, 3)
    assert "".join(masked.parts).strip() == TEXT
    tokenizer = ours.tokenizer
    assert tokenizer.decode(masked.source[:1]) == f"[{masked.denoiser.kind}]"
    if name == "S":
        assert masked.sentinels == [] and tokenizer.decode(masked.target, skip_special_tokens=True).strip() == (
            masked.truth[0].strip()
        )
    else:
        assert masked.target[0] == masked.sentinels[0] and len(masked.sentinels) == len(masked.truth)
        found = fillings(tokenizer, masked.target, masked.sentinels)
        assert [text.strip() for text in found] == [text.strip() for text in masked.truth]
    assert mask(ours, DenoiseConfig(), name, TEXT, 3) == masked != mask(ours, DenoiseConfig(), name, TEXT, 4)


def test_an_answer_is_cut_at_its_sentinels(ours):
    tokenizer = ours.tokenizer
    first, second, third = Reader(tokenizer).sentinels[:3]
    one, two, three = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in ("kite", "Mia", "sad"))
    answer = [*three, second, *two, first, *one, second, *three, tokenizer.eos_token_id]
    assert [text.strip() for text in fillings(tokenizer, answer, [first, second, third])] == ["kite", "Mia", ""]
    assert fillings(tokenizer, two, [])[0].strip() == "Mia"


def test_what_is_shown(ours):
    masked = mask(ours, DenoiseConfig(), "R", "<b> " + TEXT, 3)
    html = page(ours, masked, None)
    assert "The model is at work." in html and "The model fills in" not in html and "<b>" not in html
    assert html.count('class="gap"') == len(masked.truth) and "[MASK-0]" in html
    told = page(ours, masked, Filled(masked.truth, masked.target))
    assert f"Done: {len(masked.truth)} of {len(masked.truth)} gap" in told and ">no<" not in told
    assert "wrote none of the gaps" in page(ours, masked, Filled([""] * len(masked.truth), []))


def test_the_models_own_denoisers_are_taken(ours, tmp_path):
    (tmp_path / "config.yaml").write_text(
        "denoise: {mode_tokens: true, denoisers: [{name: R9, kind: R, probability: 1.0, density: 0.3}]}\n"
        "pack: {encoder_length: 64, decoder_length: 64}\n"
    )
    mixture, told = denoisers_of(str(tmp_path), ours)
    assert [in_words(each) for each in mixture.denoisers] == ["R9: 30 % masked, in gaps of 3 tokens"]
    assert "trained with" in told
    assert "tuned" in denoisers_of("x", Loaded(ours.model, ours.tokenizer, "[S]"))[1]
    assert in_words(DenoiseConfig().denoisers[-1]) == "S: go on behind 25 to 75 % of the text"


def test_t5_reads_the_same_masks_by_its_own_sentinels(foreigners):
    loaded = load(str(foreigners / "bart"))
    with pytest.raises(UserError, match="has no sentinels"):
        mask(loaded, DenoiseConfig(), "R", TEXT, 3)
    masked = mask(loaded, DenoiseConfig(), "S", TEXT, 3)
    assert masked.sentinels == [] and "".join(masked.parts).strip() == TEXT
    assert "no modes" in denoisers_of("x", loaded)[1]


def test_what_cannot_be_masked_is_refused(ours):
    with pytest.raises(UserError, match="2 to 512 can be masked"):
        mask(ours, DenoiseConfig(), "R", TEXT * 40, 3)
    with pytest.raises(UserError, match="Choose how"):
        mask(ours, DenoiseConfig(), "R9", TEXT, 3)
