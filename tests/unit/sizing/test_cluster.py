"""Many devices: what the closed forms say in cases that can be reckoned by hand."""

import math
from dataclasses import replace

import pytest

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.costs import parameter_counts
from rot5.sizing.cluster import DAY, Cluster, fleet
from rot5.sizing.estimate import estimate
from rot5.sizing.time import HARDWARE, update_seconds

SHAPE = Rot5Config(vocab_size=32512, num_layers=12, d_model=1024)
TOKENS = 1e10
CLUSTER = Cluster()


def found(devices: int, cluster: Cluster = CLUSTER, optimizer: str = "adamw", tokens: float = TOKENS):
    each = estimate(SHAPE, tokens, HARDWARE["H100-SXM"], devices=devices, optimizer=optimizer)
    return each, fleet(SHAPE, each, tokens, HARDWARE["H100-SXM"], devices, optimizer, cluster)


def test_weights_are_gathered_twice_and_gradients_summed_once():
    total = parameter_counts(SHAPE).total
    _, one = found(8)
    assert one.sent == pytest.approx(3 * 4 * total * 7 / 8)
    assert one.sending == pytest.approx(one.sent / (450e9 * 0.7)), "inside of a node"
    _, many = found(64)
    assert many.sending == pytest.approx(many.sent / (400e9 * 0.7)), "eight ports leave a node"


def test_the_slower_of_network_and_work_sets_the_pace():
    each, fast = found(64)
    update = update_seconds(SHAPE, HARDWARE["H100-SXM"], "adamw")
    assert fast.computing == pytest.approx(each.seconds / each.steps - update + update / 64)
    assert max(fast.computing, fast.sending) < fast.step < fast.computing + fast.sending
    _, slow = found(64, replace(CLUSTER, outside=1e6))
    assert slow.step == pytest.approx(slow.sending, rel=0.01)


def test_a_checkpoint_is_weights_and_two_moments():
    _, each = found(64)
    assert each.checkpoint == 3 * 4 * parameter_counts(SHAPE).total
    _, lighter = found(64, optimizer="muon")
    assert lighter.checkpoint < each.checkpoint


def test_the_interval_loses_least():
    """Around the best interval both more and fewer checkpoints lose more."""
    _, each = found(512)
    between = CLUSTER.between_failures / 512
    assert each.failures_a_day == pytest.approx(DAY / between)

    def lost(interval: float) -> float:
        return each.copying / interval + (interval / 2 + CLUSTER.restart) / between

    assert each.lost == pytest.approx(lost(each.interval))
    assert each.interval == pytest.approx(max(math.sqrt(2 * each.copying * between), each.writing))
    assert lost(each.interval) <= min(lost(each.interval * 1.5), lost(each.interval / 1.5))


def test_failures_cost_in_proportion_to_the_devices():
    small, large = found(64)[1], found(512)[1]
    assert large.failures_a_day == pytest.approx(8 * small.failures_a_day)
    assert large.lost > small.lost and large.days < small.days
    assert large.read * large.days / (1 + large.lost) == pytest.approx(2 * TOKENS / DAY)
