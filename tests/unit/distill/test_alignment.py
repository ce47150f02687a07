"""Two tokenizers cut a text where both end a piece: what lies between is the same text on both sides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot5.data.corpus import Corpus
from rot5.distill import alignment
from rot5.distill.alignment import NOWHERE, Spelled, align, spell
from rot5.distill.teacher import chunk_likelihoods
from rot5.errors import UserError
from rot5.loading import Loaded, load

WORDS = ["once", "Mia", "dog", " ", "  ", "\n", "lost", "naïve", "🐕‍🦺", "日本", "é", "'", ",", "!", "x7", "unfindable"]
TEXTS = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.text(alphabet="ab é日🐕\n\t.,\u200d\u0301A", max_size=15),
)


@pytest.fixture(scope="module")
def readers(corpora, foreigners) -> dict[str, Loaded]:
    """Ours (pairs of SentencePiece, bytes for what it does not know), a unigram model and bytes merged in pairs."""
    found = {name: load(str(foreigners / name)) for name in ("t5", "bart")}
    return found | {"ours": Loaded(found["t5"].model, Corpus.open(corpora / "stories").tokenizer(), "")}


def stops(spelled: Spelled, chunks: np.ndarray) -> list[int]:
    """Where each chunk ends in the text, by its last token."""
    last = np.append(np.diff(chunks) > 0, True)
    return spelled.ends[last].tolist()


@pytest.mark.parametrize("pair", [("ours", "bart"), ("ours", "t5"), ("t5", "bart")], ids="-".join)
def test_chunks_are_the_same_text_on_both_sides(readers, pair):
    ours, theirs = (readers[name] for name in pair)

    @settings(max_examples=60, deadline=None)
    @given(TEXTS)
    def holds(text):
        (own,), (other,) = spell(ours, [text]), spell(theirs, [text])
        assert own.ids == ours.read_targets([text])[0] and other.ids == theirs.read_targets([text])[0]
        chunks = align(own.ends, other.ends)
        for ends, numbers in ((own.ends, chunks.ours), (other.ends, chunks.theirs)):
            assert len(ends) == len(numbers) and numbers[0] == 0 and set(np.diff(numbers).tolist()) <= {0, 1}
        cuts = stops(own, chunks.ours)
        assert cuts == stops(other, chunks.theirs) == sorted(set(cuts)) and cuts[-1] == len(text) + 1
        if pair[1] == "bart":
            pieces = [
                theirs.tokenizer.decode(np.array(other.ids)[chunks.theirs == n], skip_special_tokens=True)
                for n in range(len(cuts))
            ]
            assert pieces == [text[first:stop] for first, stop in zip([0, *cuts], cuts, strict=False)]
        if pair[0] == "ours":
            pieces = [
                ours.tokenizer.convert_ids_to_tokens(np.array(own.ids)[chunks.ours == n].tolist())
                for n in range(len(cuts))
            ]
            told = ours.tokenizer.convert_tokens_to_string([piece for each in pieces[:-1] for piece in each])
            assert pieces[-1][-1] == "</s>" and (told == text or len(pieces) == 1)

    holds()


def test_cuts_are_as_many_as_tokenizers_allow(readers):
    text = "Mia lost a dog."
    (own,), (other,) = spell(readers["ours"], [text]), spell(readers["bart"], [text])
    cuts = stops(own, align(own.ends, other.ends).ours)
    assert {3, 8, 10, 14, 15, 16} <= set(cuts), "words, the stop and the end are apart, whoever puts spaces where"
    assert other.opening == 1 and own.opening == 0
    same = align(own.ends, own.ends)
    assert same.ours.tolist() == same.theirs.tolist() == list(range(len(own.ids))), "of equal tokenizers every token"


def test_what_no_text_belongs_to(readers):
    for name, opening in (("ours", 0), ("t5", 0), ("bart", 1)):
        (empty,) = spell(readers[name], [""])
        assert empty.ends[-1] == 1 and len(empty.ids) == opening + 1 and empty.opening == opening
    without_its_last_space = alignment._spelled("ab ", [5, 1], [5, 1], [(0, 2), (0, 0)], [0, 1])
    assert without_its_last_space.ends.tolist() == [3, 4]
    opened_and_not_closed = alignment._spelled("abc", [5, 6, 1], [2, 5, 6], [(0, 0), (0, 1), (1, 3)], [1, 0, 0])
    assert opened_and_not_closed.ends.tolist() == [1, 3, 4] and opened_and_not_closed.opening == 0
    nowhere = np.array([NOWHERE, NOWHERE, 3, 4])
    assert [each.tolist() for each in align(nowhere, np.array([1, 3, 4]))] == [[0, 0, 0, 1], [0, 0, 1]]


def test_likelihoods_of_chunks_add_up_to_those_of_targets(readers):
    """Whoever is asked beside whom; what opens a target does not count."""
    teacher, student = readers["bart"], readers["ours"]
    texts = ["Mia lost a dog.", "", "naïve 🐕", "Once upon a time there was a hen who had a very long story to tell."]
    sources = teacher.read_inputs(["A story."] * len(texts))
    answers, own = spell(teacher, texts), spell(student, texts)
    found = chunk_likelihoods(teacher, sources, answers, own, filler=1.0, precision="float32")
    lengths = np.cumsum([len(each.ids) for each in own])[:-1]
    for source, answer, spelled, told in zip(sources, answers, own, np.split(found, lengths), strict=True):
        logits, labels = teacher.logits([source], [answer.ids], "float32")
        tokens = logits[0].log_softmax(-1).gather(1, labels[0][:, None])[:, 0].numpy()
        assert told[told <= 0].sum() == pytest.approx(tokens[answer.opening :].sum(), rel=1e-5)
        chunks = align(spelled.ends, answer.ends)
        assert np.count_nonzero(told <= 0) == chunks.ours[-1] + 1 == chunks.theirs[-1] + 1
        assert told[0] <= 0 and told.dtype == np.float32


def test_a_tokenizer_that_tells_no_places_is_refused(readers):
    from transformers import ByT5Tokenizer

    with pytest.raises(UserError, match="ByT5Tokenizer does not tell where its tokens stand"):
        spell(Loaded(readers["t5"].model, ByT5Tokenizer(), ""), ["a"])  # type: ignore[arg-type]
