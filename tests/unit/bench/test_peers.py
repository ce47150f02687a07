"""transformers' T5 sees the very examples that ours packs."""

import itertools

import numpy as np
import pytest
import torch
from transformers import T5ForConditionalGeneration

from rot5.bench import peers
from rot5.bench.peers import PeerStep, bucketed_batches, padded_batch, people_batches, t5_of, t5_shape
from rot5.data.batches import IGNORED
from rot5.data.ragged import Ragged
from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.model.presets import PRESETS

PAD, EOS = 0, 1


LENGTHS = np.random.default_rng(0).integers(1, (400, 300), (1000, 2))
"""Input and target lengths of examples."""


class Counting:
    """All tokens of example n are n + 2."""

    kind_names = ("counting",)

    def __len__(self):
        return len(LENGTHS)

    def plan(self, numbers):
        return CountingPlan(np.asarray(numbers))

    def materialise(self, plan, chosen):
        inputs, targets = (
            Ragged(np.repeat(plan.numbers[chosen] + 2, side[chosen]), np.concatenate([[0], np.cumsum(side[chosen])]))
            for side in (plan.input_lengths, plan.target_lengths)
        )
        return inputs, targets


class CountingPlan:
    def __init__(self, numbers):
        self.numbers, self.kinds = numbers, numbers * 0
        self.input_lengths, self.target_lengths = LENGTHS[numbers].T
        self.story_tokens = self.input_lengths + self.target_lengths


def smoke(**fields):
    shape = {**PRESETS["smoke"].shape, "vocab_size": 512, "pad_token_id": PAD, "eos_token_id": EOS}
    return Rot5Config(**{**shape, "decoder_start_token_id": 2, **fields})


def numbers_of(batch):
    return (batch.fields["input_ids"][:, 0] - 2).tolist()


def test_a_padded_batch_holds_its_examples_and_nothing_else():
    batch = padded_batch(Counting(), [3, 0, 7], PAD)
    ids, mask, labels = (batch.fields[name] for name in ("input_ids", "attention_mask", "labels"))
    inputs, targets = LENGTHS[[3, 0, 7]].T
    assert ids.shape == mask.shape == (3, inputs.max()) and labels.shape == (3, targets.max())
    assert mask.sum(1).tolist() == inputs.tolist() and (ids[mask == 0] == PAD).all()
    for row, number in enumerate((3, 0, 7)):
        assert set(ids[row][mask[row] == 1].tolist()) == {number + 2}
        assert set(labels[row].tolist()) <= {number + 2, IGNORED}
    assert (labels != IGNORED).sum(1).tolist() == targets.tolist()
    assert batch.story_tokens == (inputs + targets).sum()
    assert batch.fill == pytest.approx((inputs.mean() / inputs.max(), targets.mean() / targets.max()))


def test_an_expert_sees_every_example_once_with_less_padding():
    few = list(itertools.islice(bucketed_batches(Counting(), PAD, 4), peers.SORTED_BATCHES))
    assert sorted(n for batch in few for n in numbers_of(batch)) == list(range(4 * peers.SORTED_BATCHES))
    people = list(itertools.islice(people_batches(Counting(), PAD, 4), peers.SORTED_BATCHES))
    assert [n for batch in people for n in numbers_of(batch)] == list(range(4 * peers.SORTED_BATCHES))
    for side in (0, 1):
        filled = [np.mean([batch.fill[side] for batch in batches]) for batches in (few, people)]
        assert filled[0] > 1.1 * filled[1]
    assert all(batch.fields["labels"].shape[1] % peers.MULTIPLE == 0 for batch in few)


@pytest.mark.parametrize("projection", ["gelu_new", "gated-gelu"])
def test_its_parameters_are_those_of_the_shape_that_counts_its_work(projection):
    shape = smoke(feed_forward_proj=projection)
    model = t5_of(shape)
    assert isinstance(model, T5ForConditionalGeneration) and model.training
    assert model.num_parameters() == parameter_counts(t5_shape(shape)).total
    assert (model.config.dropout_rate, model.config.dense_act_fn) == (0.0, "gelu_new")


def test_attentions_agree_and_padding_changes_no_loss():
    shape = smoke()
    losses = []
    for attention in peers.ATTENTIONS:
        model = t5_of(shape, attention)
        assert model.config._attn_implementation == attention
        for multiple in (1, 32):
            with torch.no_grad():
                losses.append(model(**padded_batch(Counting(), [3, 0, 7], PAD, multiple).fields).loss.item())
    assert losses == [pytest.approx(losses[0], abs=1e-5)] * 4


def test_a_step_learns():
    model = t5_of(smoke())
    step, batch = PeerStep(model, smoke()), padded_batch(Counting(), [3, 0, 7], PAD)
    step.optimizer.param_groups[0]["lr"] = 1e-2

    def loss():
        with torch.no_grad():
            return model(**batch.fields).loss.item()

    before = loss()
    assert all(step.turn(batch).speed > 0 for _ in range(3))
    assert loss() < before / 2
