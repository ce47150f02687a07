"""Our engine writes what transformers' loop writes with our model, whatever the company and the order of inputs."""

import random
from collections.abc import Sequence

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from rot5.errors import UserError
from rot5.generate import answers, graphs
from rot5.generate.answers import generate
from rot5.generate.queue import PACES, Pace
from rot5.generate.settings import GenerateConfig, problems
from rot5.model.modeling_rot5 import Rot5ForConditionalGeneration

DYNAMIC = {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 4}
RELATIVE = {"position_encoding": "relative_bias", "relative_attention_num_buckets": 4,
            "relative_attention_max_distance": 6}  # fmt: skip
VARIANTS = {
    "aligned": {},
    "no cross positions": {"cross_position_encoding": "none"},
    "continuous": {"cross_position_encoding": "continuous"},
    "linear": {"rope_parameters": {"rope_type": "linear", "factor": 3.0}},
    "dynamic": DYNAMIC,
    "dynamic and continuous": {**DYNAMIC, "cross_position_encoding": "continuous"},
    "relative bias": RELATIVE,
    "T5": {
        **RELATIVE,
        "parametrization": "t5",
        "num_key_value_heads": 4,
        "feed_forward_proj": "relu",
        "tie_word_embeddings": False,
    },
    "multi-query": {"num_key_value_heads": 1, "feed_forward_proj": "gelu_new"},
    "multi-head and QK-norm": {"num_key_value_heads": 4, "qk_norm": True},
    "experts": {"num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1, "expert_capacity_factor": 1.0},
    "untied": {"tie_word_embeddings": False},
}
QUICK = "aligned"
"""The variant whose steps are traced, which takes long, in every run of the tests."""
START: dict = {"decoder_start_token_id": 0}
LENGTHS = (1, 3, 6, 9, 14)
LONGEST = 12


@pytest.fixture(params=VARIANTS, ids=lambda name: name.replace(" ", "-"))
def model(request, tiny_model) -> Rot5ForConditionalGeneration:
    return lively(tiny_model(**VARIANTS[request.param]))


@pytest.fixture
def plain(tiny_model) -> Rot5ForConditionalGeneration:
    return lively(tiny_model())


@torch.no_grad()
def lively(model: Rot5ForConditionalGeneration) -> Rot5ForConditionalGeneration:
    """The model with answers that vary and end at many places: norms and biases away from where they begin, a decoder
    that does more than repeat its input, and a good part of the vocabulary as ends."""
    for name, parameter in model.named_parameters():
        if "norm" in name or "relative_bias" in name:
            parameter.add_(0.3 * torch.randn_like(parameter))
        elif name.startswith("decoder") and ("o_proj" in name or "down_proj" in name):
            parameter.mul_(8)
    model.generation_config.eos_token_id = [1, *range(60, 90, 2)]
    return model


def questions(count: int = 11) -> list[list[int]]:
    generator = random.Random(1)
    return [[generator.randrange(3, 96) for _ in range(generator.choice(LENGTHS))] for _ in range(count)]


def slowly(model: Rot5ForConditionalGeneration, inputs: Sequence[Sequence[int]], **settings) -> list[list[int]]:
    """What transformers' loop writes for each input alone, without caches."""
    settings = {"max_new_tokens": LONGEST, "do_sample": False, "use_cache": False, **settings}
    return [
        model.generate(  # type: ignore
            input_ids=torch.tensor([each]), attention_mask=torch.ones(1, len(each)).long(), **settings
        )[0, 1:].tolist()
        for each in inputs
    ]


def quickly(model: Rot5ForConditionalGeneration, inputs: Sequence[Sequence[int]], **settings) -> list[list[int]]:
    return generate(model, inputs, 0, GenerateConfig(**{"max_new_tokens": LONGEST, **settings}))


def test_greedy_tokens_are_those_of_the_slow_loop(model):
    """Slots are refilled with 3 of them, and given up with 64."""
    expected = slowly(model, questions())
    assert len({len(answer) for answer in expected}) > 1, "answers that end together test no refill"
    for batch_size in (1, 3, 64):
        assert quickly(model, questions(), batch_size=batch_size) == expected


def test_beams_are_those_of_the_slow_loop(model):
    expected = slowly(model, questions(7), num_beams=3)
    for batch_size in (1, 3, 64):
        assert quickly(model, questions(7), num_beams=3, batch_size=batch_size) == expected


@pytest.mark.parametrize("beams", [1, 2])
def test_no_answer_ends_before_it_may(plain, beams):
    expected = slowly(plain, questions(), min_new_tokens=5, num_beams=beams)
    found = quickly(plain, questions(), min_new_tokens=5, num_beams=beams, batch_size=4)
    assert found == expected and min(map(len, found)) > 5
    whole = quickly(plain, questions(), min_new_tokens=LONGEST, num_beams=beams)
    assert {len(answer) for answer in whole} == {LONGEST}


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 3}], ids=str)
def test_company_and_order_change_nothing(plain, settings):
    inputs = questions(9)
    expected = quickly(plain, inputs, batch_size=64, **settings)
    for batch_size in (1, 2, 5):
        assert quickly(plain, inputs, batch_size=batch_size, **settings) == expected
    if not settings.get("do_sample"):  # draws go by the number of the input
        order = random.Random(2).sample(range(len(inputs)), len(inputs))
        assert quickly(plain, [inputs[i] for i in order], batch_size=2, **settings) == [expected[i] for i in order]


@pytest.mark.parametrize("pace", [Pace(8, 64, False), Pace(5, 3, False)], ids=str)
def test_the_pace_of_a_device_changes_nothing(plain, monkeypatch, pace):
    """Tokens are looked at in passing, and more of the caches than is filled: as on a GPU."""
    expected = quickly(plain, questions())
    sampled = quickly(plain, questions(), do_sample=True, seed=2)
    monkeypatch.setitem(PACES, "cpu", pace)
    for batch_size in (2, 64):
        assert quickly(plain, questions(), batch_size=batch_size) == expected
        assert quickly(plain, questions(), batch_size=batch_size, do_sample=True, seed=2) == sampled


@pytest.mark.parametrize(
    "name", [each if each == QUICK else pytest.param(each, marks=pytest.mark.slow) for each in VARIANTS]
)
def test_steps_that_are_replayed_change_nothing(name, tiny_model, monkeypatch):
    """As on a GPU: what is captured reads and writes the tensors that were there then, wherever others may be now."""
    model = lively(tiny_model(**VARIANTS[name]))
    settings = [{}, {"do_sample": True, "seed": 2, "min_new_tokens": 3}]
    expected = [quickly(model, questions(6), batch_size=3, **each) for each in settings]
    captured = []
    monkeypatch.setattr(graphs, "capture", lambda step: captured.append(make_fx(step)()) or captured[-1])
    monkeypatch.setitem(PACES, "cpu", Pace(2, 4, True))
    assert [quickly(model, questions(6), batch_size=3, **each) for each in settings] == expected
    assert len(captured) > len(settings)


def test_answers_end_with_their_first_end_and_are_never_longer_than_allowed(plain):
    ends = set(plain.generation_config.eos_token_id)
    answers = quickly(plain, questions(40), batch_size=8)
    assert any(answer[-1] in ends for answer in answers) and any(len(answer) == LONGEST for answer in answers)
    for answer in answers:
        assert not ends & set(answer[:-1])
        assert len(answer) == LONGEST or (len(answer) < LONGEST and answer[-1] in ends)
    assert quickly(plain, questions(), max_new_tokens=1) == [answer[:1] for answer in quickly(plain, questions())]


def test_a_model_without_an_end_writes_to_the_limit(plain):
    plain.generation_config.eos_token_id = plain.config.eos_token_id = None
    assert quickly(plain, questions(5)) == slowly(plain, questions(5))
    assert {len(answer) for answer in quickly(plain, questions(5), num_beams=2)} == {LONGEST}


def test_one_input_that_is_far_longer_than_the_others(plain):
    inputs = [*questions(5), list(range(3, 93)) * 2, [7]]
    assert quickly(plain, inputs, batch_size=3) == slowly(plain, inputs)


def test_progress_counts_up_to_all(plain):
    told = []
    generate(plain, questions(), 0, GenerateConfig(max_new_tokens=LONGEST, batch_size=3), told.append)
    assert told == sorted(told) and told[-1] == 11 and len(told) > 1


def test_nothing_in_nothing_out_and_an_empty_input_is_refused(plain):
    assert quickly(plain, []) == []
    with pytest.raises(UserError, match="input 2 has no tokens"):
        quickly(plain, [[3], []])


def test_weights_and_settings_of_the_model_stay_as_they_are(plain):
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    for precision in ("float32", "bf16", "int8"):
        quickly(plain, questions(3), precision=precision)
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())
    assert plain.generation_config.num_beams in (None, 1)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_lower_precisions_are_close(model, precision):
    """First tokens agree nearly always, and what is written stays by its input in any company."""
    inputs = questions(40)
    expected = quickly(model, inputs, max_new_tokens=1, min_new_tokens=1)
    found = quickly(model, inputs, max_new_tokens=1, min_new_tokens=1, precision=precision)
    coarse = precision == "int8" and not torch.cpu._is_vnni_supported()  # a row then has half the levels
    assert sum(one == other for one, other in zip(found, expected, strict=True)) >= (20 if coarse else 36)
    together = quickly(model, inputs[:9], precision=precision, batch_size=4)
    assert quickly(model, inputs[:9], precision=precision, batch_size=1) == together


@pytest.fixture
def t5():
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    shape = T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, **START)
    return T5ForConditionalGeneration(shape).eval()


def test_a_t5_answers_by_our_engine_as_by_its_own_loop(t5, monkeypatch):
    configs = [GenerateConfig(max_new_tokens=LONGEST, num_beams=beams, batch_size=4) for beams in (1, 3)]
    theirs = [answers._generate_theirs(t5, questions(), 0, config, None) for config in configs]
    assert any(len(set(map(tuple, each))) > 3 for each in theirs)
    monkeypatch.setattr(answers, "_generate_theirs", None)
    assert [generate(t5, questions(), 0, config) for config in configs] == theirs
    assert len(generate(t5, questions(), 0, GenerateConfig(precision="int8", max_new_tokens=4))) == len(questions())


def test_what_our_engine_does_not_know_is_left_to_transformers(t5):
    t5.generation_config.no_repeat_ngram_size = 1
    config = GenerateConfig(max_new_tokens=LONGEST)
    found = generate(t5, questions(), 0, config)
    assert all(len(set(each)) == len(each) for each in found), "no token comes twice"
    with pytest.raises(UserError, match="int8"):
        generate(t5, questions(), 0, GenerateConfig(precision="int8"))


def test_draws_of_transformers_follow_the_settings(t5):
    def drawn(**settings) -> list[list[int]]:
        config = GenerateConfig(max_new_tokens=LONGEST, do_sample=True, **settings)
        return answers._generate_theirs(t5, questions(), 0, config, None)

    before = torch.get_rng_state()
    first = drawn(seed=1)
    assert drawn(seed=1) == first != drawn(seed=2) and torch.equal(torch.get_rng_state(), before)
    greedy = answers._generate_theirs(t5, questions(), 0, GenerateConfig(max_new_tokens=LONGEST), None)
    assert drawn(seed=1, top_k=1) == greedy == drawn(seed=2, temperature=1e-4) != first


def test_settings_that_cannot_work_are_named():
    assert problems(GenerateConfig()) == []
    wrong = GenerateConfig(
        max_new_tokens=0, num_beams=2, batch_size=0, precision="int9", temperature=0.0, top_k=-1, top_p=0.0,
        do_sample=True, min_new_tokens=3,
    )  # fmt: skip
    found = "; ".join(problems(wrong))
    for word in (
        "max_new_tokens 0",
        "batch_size 0",
        "int9",
        "int8",
        "temperature",
        "top_k",
        "top_p",
        "exclude",
        "min_new",
    ):
        assert word in found
