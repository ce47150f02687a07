"""What is drawn follows the model's distribution, and depends on seed, row and place alone."""

import random
from collections.abc import Sequence

import pytest
import torch

from rot5.generate import sampling
from rot5.generate.answers import generate
from rot5.generate.sampling import row_key
from rot5.generate.settings import GenerateConfig

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0, 1.5]])


def config(**settings) -> GenerateConfig:
    return GenerateConfig(do_sample=True, **settings)


def distribution(logits: torch.Tensor, settings: GenerateConfig) -> torch.Tensor:
    return sampling.distribution(logits, [settings] * len(logits))


def draw(logits: torch.Tensor, settings: GenerateConfig, numbers: Sequence[int], places: Sequence[int]) -> torch.Tensor:
    keys = [row_key(settings.seed, number) for number in numbers]
    return sampling.draw(logits, [settings] * len(logits), keys, places)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, [0, 1, 2, 3, 4]), ({"top_k": 2}, [0, 4]), ({"top_k": 9}, [0, 1, 2, 3, 4]), ({"top_p": 0.4}, [0]),
     ({"top_p": 0.7}, [0, 4]), ({"top_p": 0.85, "temperature": 1.0}, [0, 1, 4]), ({"top_k": 2, "top_p": 0.9}, [0, 4])],
)  # fmt: skip
def test_what_is_left_out(settings, kept):
    probs = distribution(LOGITS, config(**settings))[0]
    assert (probs > 0).nonzero()[:, 0].tolist() == kept
    within = LOGITS[0, kept].softmax(0)
    torch.testing.assert_close(probs[kept] / probs[kept].sum(), within)


def test_temperature_divides_logits():
    torch.testing.assert_close(distribution(LOGITS, config(temperature=0.5)), (2 * LOGITS).softmax(1))


def test_tokens_are_as_frequent_as_they_are_probable():
    count = 20_000
    drawn = draw(LOGITS.expand(count, -1), config(seed=1), range(count), [3] * count)
    shares = drawn.bincount(minlength=5) / count
    torch.testing.assert_close(shares, LOGITS[0].softmax(0), atol=0.012, rtol=0)


def test_draws_differ_by_seed_row_and_place():
    logits = torch.zeros(50, 96)
    first = draw(logits, config(seed=1), range(50), [0] * 50)
    assert torch.equal(first, draw(logits, config(seed=1), range(50), [0] * 50))
    assert torch.equal(first[7:9], draw(logits[:2], config(seed=1), [7, 8], [0, 0]))
    for other in (draw(logits, config(seed=2), range(50), [0] * 50), draw(logits, config(seed=1), range(50), [1] * 50)):
        assert (first == other).float().mean() < 0.2


def test_answers_are_the_slow_loop_of_the_same_draws(tiny_model):
    """Against each answer made token by token, everything computed anew for each."""
    model, settings = tiny_model(), config(seed=5, max_new_tokens=6, batch_size=3, temperature=0.8, top_k=20)
    generator = random.Random(1)
    inputs = [[generator.randrange(3, 96) for _ in range(length)] for length in (4, 1, 7, 3, 5)]
    expected = []
    for row, each in enumerate(inputs):
        answer = []
        while len(answer) < 6 and 1 not in answer:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([each]), decoder_input_ids=torch.tensor([[2, *answer]])).logits
            answer.append(int(draw(logits[:, -1], settings, [row], [len(answer)])))
        expected.append(answer)
    assert generate(model, inputs, 0, settings) == expected
