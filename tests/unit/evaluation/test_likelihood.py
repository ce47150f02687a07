"""Likelihood: packed rows and padded texts score alike, and bits per byte do not depend on the tokenizer's pieces."""

import numpy as np
import pytest

from rot5.build.models import new_model
from rot5.build.scoring import EVALUATION_SEED, score
from rot5.data.batches import PackedRows
from rot5.data.corpus import PairCorpus
from rot5.data.packing import PackConfig
from rot5.data.pairs import Pairs
from rot5.data.tokenizer import special_ids
from rot5.evaluation.likelihood import Likelihood, as_table, measure_texts
from rot5.loading import Loaded
from rot5.model.settings import ModelConfig


@pytest.mark.parametrize("prefix", ["", "[S]"])
def test_padded_texts_score_as_packed_rows_do(corpora, prefix):
    pairs = PairCorpus.open(corpora / "held-out")
    tokenizer = pairs.tokenizer()
    specials = special_ids(tokenizer)
    model = new_model(ModelConfig(preset="smoke"), tokenizer, seed=0).eval()
    examples = Pairs(pairs, specials, prefix.strip("[]") or None, EVALUATION_SEED, shuffle=False)
    rows = PackedRows(examples, PackConfig(encoder_length=512, decoder_length=160), specials, len(examples))
    expected = score(model, rows, tokenizer, "float32")
    texts = list(pairs.references())
    found = measure_texts(
        Loaded(model, tokenizer, prefix), [pair.input for pair in texts], [pair.target for pair in texts], "float32", 3
    )
    assert sorted(found.targets) == sorted(expected.targets)
    assert sorted(found.bytes) == sorted(expected.bytes)
    np.testing.assert_allclose(sorted(found.nats), sorted(expected.nats), rtol=1e-5)
    assert found.nats.std() > 1


def test_targets_weigh_alike_wherever_they_stand():
    scores = Likelihood(np.zeros(2, int), np.array([2.0, 30.0]), np.array([1, 9]), np.array([4, 40]))
    table = as_table(scores, ("pairs",))["overall"]
    assert table["loss"]["mean"] == pytest.approx(3.2)
    assert table["perplexity"]["mean"] == pytest.approx(np.exp(3.2))
    assert table["bits_per_byte"]["mean"] == pytest.approx(32 / np.log(2) / 44)
    assert table["perplexity"]["low"] <= table["perplexity"]["mean"] <= table["perplexity"]["high"]
