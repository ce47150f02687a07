"""Time of training: known rates come out of timed steps, and a published figure out of a data sheet."""

import dataclasses
from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from rot5.model.configuration_rot5 import Rot5Config
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration
from rot5.model.presets import PRESETS
from rot5.sizing import calibration
from rot5.sizing.compute import Load, packed_load
from rot5.sizing.time import HARDWARE, Rates, Work, seconds_of, step_seconds, step_work, update_flops
from rot5.train.optimizers import build_optimizer
from rot5.train.settings import OptimizerConfig

RATES = Rates(5e-12, 3e-11, 1e-9, 4e-10, 5e-9, 2.5e-9, 5e-3)


def shape_of(preset: str, **changes) -> Rot5Config:
    return Rot5Config(vocab_size=PRESETS[preset].vocab_size, **PRESETS[preset].shape, **changes)


def probe_works() -> list[Work]:
    device = torch.device("cpu")
    return [calibration._probe_step(probe, device)[0] for probe in calibration.PROBES]


def test_known_rates_come_out_of_the_steps_of_the_probes():
    works = probe_works()
    found = calibration.share_out(works, [seconds_of(work, RATES) for work in works], RATES[0], RATES[1])
    assert found == pytest.approx(RATES, rel=1e-3)


def test_noise_in_the_probes_moves_predictions_little():
    works = probe_works()
    noisy = [seconds_of(work, RATES) * (1.05 if n % 2 else 0.95) for n, work in enumerate(works)]
    found = calibration.share_out(works, noisy, RATES[0], RATES[1])
    for preset in ("1m", "demo", "mini"):
        work = step_work(shape_of(preset), 4, packed_load(4, 512, 312))
        assert seconds_of(work, found) == pytest.approx(seconds_of(work, RATES), rel=0.15), preset


def test_no_probe_is_a_preset():
    shapes = {(p.shape["d_model"], p.shape["num_layers"]) for p in PRESETS.values()}
    assert not shapes & {(probe.width, probe.layers) for probe in calibration.PROBES}


def test_probes_really_take_steps():
    _, step = calibration._probe_step(calibration.PROBES[0]._replace(width=32, rows=1), torch.device("cpu"))
    step()
    step()


def test_a_published_figure_out_of_the_data_sheet():
    """nanoT5 (arXiv:2309.02373): T5 1.1 base, 128 rows of 512 / 114 tokens, 0.56 s a step on an A100-80GB."""
    load = Load(128 * 512, 128 * 114, 0, 0, 0, 128)
    seconds = step_seconds(shape_of("t5-v1_1-base"), 128, load, HARDWARE["A100-80GB"], optimizer="adamw")
    assert seconds == pytest.approx(0.56, rel=0.3)


def test_time_follows_the_work():
    shape, load = shape_of("mini"), packed_load(4, 512, 312)
    hardware = dataclasses.replace(HARDWARE["H200"], measured=RATES, cuda=False)
    step = partial(step_seconds, optimizer="adamw")
    once = step(shape, 4, load, hardware)
    assert once == pytest.approx(seconds_of(step_work(shape, 4, load), RATES))
    assert once < step(shape, 4, load, hardware, checkpointing=True) < once * 4 / 3
    assert 1.8 * once < step(shape, 4, load, hardware, micro_batches=2) < 2 * once
    assert step(shape_of("1m"), 4, load, hardware) < once < step(shape_of("base-gqa"), 4, load, hardware)
    faster, slower = HARDWARE["H100-SXM"], HARDWARE["A100-80GB"]
    assert step(shape, 4, load, faster) < step(shape, 4, load, slower)


@pytest.mark.parametrize("experts", [0, 3])
def test_an_update_of_muon_multiplies_every_matrix_of_the_layers(experts):
    model = Rot5ForConditionalGeneration(shape_of("1m", num_experts=experts))
    optimizer = build_optimizer(model, OptimizerConfig(name="muon"))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    with FlopCounterMode(display=False) as counted:
        optimizer.step()
    routers = 1e-3 if experts else 0.0  # small matrices, which AdamW moves, and which are counted all the same
    assert update_flops(model.config, "muon") == pytest.approx(counted.get_total_flops(), rel=routers, abs=0)
    assert update_flops(model.config, "adamw") == 0.0
