"""What is kept of earlier tasks: which rows stay, and that a restored memory draws the same ones."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch as th
from safetensors.torch import load, save

from clrobot.agents.methods.shared.memory import Memory, Reservoir, generator_bytes


class Pair(NamedTuple):
    number: th.Tensor  # (n, 1)
    square: th.Tensor  # (n,)


def pairs(start: int, stop: int) -> Pair:
    numbers = th.arange(start, stop, dtype=th.float32)
    return Pair(numbers[:, None], numbers**2)


def test_every_row_is_kept_in_order_and_rows_stay_together() -> None:
    memory = Memory(Pair)
    memory.add(pairs(0, 3))
    memory.add(pairs(3, 5))
    assert len(memory) == 5
    assert memory.rows.number.flatten().tolist() == [0, 1, 2, 3, 4]
    sample = memory.sample(50)
    assert th.equal(sample.number[:, 0] ** 2, sample.square)
    assert set(sample.square.tolist()) == {0.0, 1.0, 4.0, 9.0, 16.0}


def test_rows_are_copies() -> None:
    memory = Memory(Pair)
    rows = pairs(0, 2)
    memory.add(rows)
    rows.square.fill_(-1)
    assert memory.rows.square.tolist() == [0, 1]


def test_an_empty_memory_has_nothing_to_draw_or_to_save() -> None:
    memory = Memory(Pair)
    assert (len(memory), memory.state_dict()) == (0, {})
    with pytest.raises(IndexError, match="empty memory"):
        memory.sample(1)


def test_drawing_is_seeded_and_leaves_the_global_generator_alone() -> None:
    before = th.get_rng_state()
    drawn = []
    for seed in (0, 0, 1):
        memory = Reservoir(Pair, 20)
        memory.seed(seed)
        memory.add(pairs(0, 100))
        drawn.append(memory.sample(30).square)
    assert th.equal(drawn[0], drawn[1])
    assert not th.equal(drawn[0], drawn[2])
    assert th.equal(before, th.get_rng_state())


@pytest.mark.parametrize("make", [lambda: Memory(Pair), lambda: Reservoir(Pair, 6)], ids=["all", "reservoir"])
def test_a_restored_memory_goes_on_with_the_same_bits(make) -> None:
    """Through safetensors, which refuses tensors that share storage or are not contiguous."""
    memory = make()
    memory.seed(3)
    memory.add(pairs(0, 10))
    memory.sample(4)
    twin = make()
    twin.load_state_dict(load(save(memory.state_dict())))
    for each in (memory, twin):
        each.add(pairs(10, 20))
    assert all(th.equal(a, b) for a, b in zip(memory.rows, twin.rows, strict=True))
    assert th.equal(memory.sample(40).number, twin.sample(40).number)
    a, b = memory.state_dict(), twin.state_dict()
    assert a.keys() == b.keys()
    assert all(th.equal(a[name], b[name]) for name in a)


def test_the_state_has_the_bytes_that_one_counts() -> None:
    reservoir = Reservoir(Pair, 6)
    reservoir.add(pairs(0, 10))
    size = sum(t.numel() * t.element_size() for t in reservoir.state_dict().values())
    assert size == 6 * (4 + 4 + 8) + generator_bytes()


def test_a_reservoir_holds_a_uniform_sample_of_all_that_came() -> None:
    """60 rows in three unequal batches, 12 places: each row stays with probability 1/5, whenever it came."""
    trials = 3000
    counts = th.zeros(60)
    for seed in range(trials):
        reservoir = Reservoir(Pair, 12)
        reservoir.seed(seed)
        for start, stop in ((0, 5), (5, 40), (40, 60)):
            reservoir.add(pairs(start, stop))
        assert len(reservoir) == 12
        counts[reservoir.rows.number.flatten().long()] += 1
    # 600 expected with a deviation of √(3000 · 0.2 · 0.8) = 22; 60 of them stay within 4 deviations.
    assert counts.sum() == 12 * trials
    assert (counts - 600).abs().max() < 88
    # χ² over 60 rows, without replacement: Σ (n - 600)² / (600 · 0.8) · 59/60 has mean 59 and deviation 11.
    assert 59 - 44 < float(((counts - 600) ** 2).sum() / 480 * 59 / 60) < 59 + 44
    by_batch = [float(counts[:5].mean()), float(counts[5:40].mean()), float(counts[40:].mean())]
    assert by_batch == pytest.approx([600, 600, 600], rel=0.05)


def test_a_reservoir_that_is_not_full_keeps_everything_in_order() -> None:
    reservoir = Reservoir(Pair, 100)
    reservoir.add(pairs(0, 4))
    reservoir.add(pairs(4, 9))
    assert reservoir.rows.number.flatten().tolist() == list(range(9))
