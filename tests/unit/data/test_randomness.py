import numpy as np
import pytest

from rot5.data.randomness import GOLDEN, Stream, below, bits, example_keys, keyed_bits, mix, uniform

MASK = 2**64 - 1


def mix_one(value: int) -> int:
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & MASK
    return value ^ (value >> 31)


def bits_one(seed: int, stream: int, example: int, counter: int) -> int:
    golden = int(GOLDEN)
    root = mix_one(seed % 2**64 + golden & MASK)
    root = mix_one(root + (stream + 1) * golden & MASK)
    key = mix_one(root + example * golden & MASK)
    return mix_one(key + (counter + 1) * golden & MASK)


def test_finalizer_gives_the_published_splitmix64_sequence():
    steps = np.arange(1, 4, dtype=np.uint64) * GOLDEN
    assert [hex(x) for x in mix(steps)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]
    assert steps[0] == GOLDEN, "the input was changed"


@pytest.mark.parametrize("seed", [0, 1, 12345, -1, 2**70 + 3])
def test_bits_agree_with_whole_number_arithmetic(seed):
    examples, counters = np.array([0, 1, 2**40]), np.array([0, 7, 2**33])
    for stream in Stream:
        assert bits(seed, stream, examples, counters).tolist() == [
            bits_one(seed, stream, example, counter)
            for example, counter in zip(examples.tolist(), counters.tolist(), strict=True)
        ]


def test_pinned_values():
    """What runs were made of; a change here changes every run."""
    assert [stream.value for stream in Stream] == [0, 1, 2, 3, 4, 5, 6, 1000]
    assert bits(0, Stream.ORDER, [0, 1]).tolist() == [14172207040252959384, 2391539541053276776]
    assert uniform(7, Stream.SEGMENTS, 3, [0, 1]).tolist() == [0.3825079225713751, 0.6066683269048512]


def test_draws_do_not_depend_on_the_company():
    together = uniform(3, Stream.ROLL, np.arange(1000), 5)
    assert together[317] == uniform(3, Stream.ROLL, 317, 5)[0]
    keys = example_keys(3, Stream.ROLL, np.arange(1000))
    np.testing.assert_array_equal(keyed_bits(keys, 5), bits(3, Stream.ROLL, np.arange(1000), 5))


@pytest.mark.parametrize("over", ["examples", "counters", "seeds", "streams"])
def test_uniform(over):
    size = 100_000
    if over == "examples":
        draws = uniform(1, Stream.ORDER, np.arange(size))
    elif over == "counters":
        draws = uniform(1, Stream.ORDER, 9, np.arange(size))
    elif over == "seeds":
        draws = np.concatenate([uniform(seed, Stream.ORDER, 0) for seed in range(20_000)])
    else:
        draws = np.concatenate([uniform(1, stream, 0) for stream in range(20_000)])
    assert draws.dtype == np.float64 and draws.min() >= 0 and draws.max() < 1
    counts = np.bincount((draws * 50).astype(int), minlength=50)
    chi_square = ((counts - draws.size / 50) ** 2 / (draws.size / 50)).sum()
    assert chi_square < 95  # the 0.9999 quantile for 49 degrees of freedom
    bits_set = np.mean([(draws * 2**k % 1 >= 0.5).mean() for k in range(20)])
    assert abs(bits_set - 0.5) < 0.005


@pytest.mark.parametrize(
    "other",
    [
        lambda n: uniform(1, Stream.DENOISER, n),
        lambda n: uniform(2, Stream.ORDER, n),
        lambda n: uniform(1, Stream.ORDER, n + 1),
        lambda n: uniform(1, Stream.ORDER, n, 1),
    ],
    ids=["stream", "seed", "next example", "next counter"],
)
def test_independent(other):
    numbers = np.arange(100_000)
    first, second = uniform(1, Stream.ORDER, numbers), other(numbers)
    cells = np.bincount((first * 10).astype(int) * 10 + (second * 10).astype(int), minlength=100)
    chi_square = ((cells - 1000) ** 2 / 1000).sum()
    assert chi_square < 160  # the 0.9999 quantile for 99 degrees of freedom
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.015


def test_below_reaches_every_number_and_no_other():
    draws = below(np.full(10_000, 7), 1, Stream.ROLL, np.arange(10_000))
    assert draws.dtype == np.int64
    assert np.bincount(draws).size == 7 and np.bincount(draws).min() > 1250
    assert below(1, 1, Stream.ROLL, np.arange(100)).max() == 0
