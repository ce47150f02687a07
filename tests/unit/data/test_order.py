from itertools import pairwise, permutations

import numpy as np
import pytest

from rot5.data.order import Order, permutation, visit


@pytest.mark.parametrize("size", [*range(1, 130), 255, 256, 257, 1000, 4095, 4096, 4097, 99_991])
@pytest.mark.parametrize("seed", [0, 17])
def test_permutation_is_a_bijection(size, seed):
    for epoch in (0, 3) if size < 1000 else (1,):
        shuffled = permutation(seed, epoch, np.arange(size), size)
        np.testing.assert_array_equal(np.sort(shuffled), np.arange(size))


def test_every_permutation_of_few_is_as_likely():
    epochs = 24_000
    drawn = permutation(5, np.repeat(np.arange(epochs), 4), np.tile(np.arange(4), epochs), 4).reshape(-1, 4)
    counts = np.array([(drawn == np.array(order)).all(axis=1).sum() for order in permutations(range(4))])
    assert counts.sum() == epochs
    assert ((counts - 1000) ** 2 / 1000).sum() < 60  # the 0.9999 quantile for 23 degrees of freedom is 55


def test_a_large_permutation_looks_random():
    size = 50_000
    shuffled = permutation(1, 0, np.arange(size), size)
    assert abs(np.corrcoef(shuffled, np.arange(size))[0, 1]) < 0.02
    assert abs(np.corrcoef(shuffled[1:], shuffled[:-1])[0, 1]) < 0.02
    assert (shuffled == np.arange(size)).sum() < 8
    assert (np.diff(shuffled) == 1).sum() < 8


def test_epochs_and_seeds_differ_and_each_shows_everything():
    numbers = np.arange(3000)
    items = visit(numbers, 1000, seed=4, shuffle=True).reshape(3, 1000)
    for epoch in items:
        assert sorted(epoch) == list(range(1000))
    for first, second in [(items[0], items[1]), (items[1], items[2]), (items[0], visit(numbers[:1000], 1000, 5, True))]:
        assert (first == second).mean() < 0.02


def test_any_number_alone_is_what_it_is_in_company():
    together = visit(np.arange(5000), 777, seed=1, shuffle=True)
    assert [int(visit(np.array([n]), 777, 1, True)[0]) for n in (0, 776, 777, 4321)] == together[
        [0, 776, 777, 4321]
    ].tolist()


def test_pinned_order():
    assert visit(np.arange(8), 8, seed=0, shuffle=True).tolist() == [4, 5, 1, 3, 2, 7, 0, 6]


def test_without_shuffling_example_n_is_piece_n_again_and_again():
    order = Order([3, 0, 5], longest_piece=10, seed=9, shuffle=False)
    pieces = order.pieces(np.arange(5))
    assert order.num_pieces == 2 and order.num_tokens == 8
    assert pieces.document.tolist() == [0, 2, 0, 2, 0]
    assert pieces.stop.tolist() == [3, 5, 3, 5, 3]
    assert pieces.ends_document.all()


@pytest.mark.parametrize("longest", [1, 2, 3, 4, 7, 10, 1000])
def test_pieces_cover_every_document_once_in_equal_parts(longest):
    lengths = np.array([0, 1, 2, 3, 10, 11, 0, 29, 30, 31, 64, 0])
    order = Order(lengths, longest, seed=2)
    pieces = order.pieces(np.arange(order.num_pieces))
    for document, length in enumerate(lengths):
        mine = np.flatnonzero(pieces.document == document)
        mine = mine[np.argsort(pieces.start[mine])]
        bounds = [(int(pieces.start[n]), int(pieces.stop[n])) for n in mine]
        assert [bool(pieces.ends_document[n]) for n in mine] == [False] * (len(mine) - 1) + [True] * bool(len(mine))
        if not length:
            assert not bounds
            continue
        assert bounds[0][0] == 0 and bounds[-1][1] == length
        assert all(before[1] == after[0] for before, after in pairwise(bounds))
        sizes = [stop - start for start, stop in bounds]
        assert len(sizes) == -(-length // longest)
        assert min(sizes) >= 1 and max(sizes) <= longest and max(sizes) - min(sizes) <= 1


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="longest_piece is 0"):
        Order([1, 2], 0, seed=0)


def test_no_documents_give_no_pieces():
    assert Order([], 5, seed=0).num_pieces == 0
    assert Order([0, 0], 5, seed=0).num_pieces == 0
