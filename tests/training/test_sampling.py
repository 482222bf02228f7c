from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, strategies as st
from torch.utils.data import DataLoader, Dataset

from softcam.training.sampling import EpochSampler, SeededDataset, cpu_seed, mixed_seed, seed_epoch


class Noise(Dataset[torch.Tensor]):
    """Each item draws from torch's global generator, as random transforms do."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.cat([torch.tensor([float(index)]), torch.rand(3)])


def epoch_of(workers: int, epoch: int, batch_size: int = 3) -> torch.Tensor:
    sampler = EpochSampler(12, multiple=3, seed=7)
    sampler.set_epoch(epoch)
    return torch.cat(list(DataLoader(SeededDataset(Noise()), batch_size, sampler=sampler, num_workers=workers)))


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 5), st.integers(0, 5))
def test_an_epoch_is_whole_steps_of_different_images(size: int, multiple: int, seed: int, epoch: int) -> None:
    sampler = EpochSampler(size, multiple, seed)
    sampler.set_epoch(epoch)
    drawn = [draw.index for draw in sampler]
    assert len(drawn) == len(sampler) == size - size % multiple
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(range(size))


def test_order_follows_from_seed_and_epoch_alone() -> None:
    first, second, other = EpochSampler(50, 1, seed=1), EpochSampler(50, 1, seed=1), EpochSampler(50, 1, seed=2)
    list(second)
    torch.rand(5)
    assert list(first) == list(second) != list(other)
    second.set_epoch(1)
    assert list(first) != list(second)


def test_random_transforms_depend_neither_on_workers_nor_on_what_was_drawn_before() -> None:
    torch.manual_seed(1)
    alone = epoch_of(workers=0, epoch=4)
    torch.manual_seed(2)
    assert torch.equal(alone, epoch_of(workers=2, epoch=4))
    assert torch.equal(alone, epoch_of(workers=0, epoch=4, batch_size=4))
    assert not torch.equal(alone.sort(0).values, epoch_of(workers=0, epoch=5).sort(0).values)


def test_an_image_drawn_twice_is_transformed_in_two_ways() -> None:
    sampler = EpochSampler(2, 1, seed=0, weights=[1.0, 1e-12])
    dataset = SeededDataset(Noise())
    first, second = (dataset[draw] for draw in sampler)
    assert first[0] == second[0] == 0
    assert (first[1:] != second[1:]).all()


def test_the_generator_is_as_it_was_after_an_item() -> None:
    before = torch.get_rng_state()
    with cpu_seed(3):
        Noise()[0]
    assert torch.equal(before, torch.get_rng_state())


def test_images_come_as_often_as_their_weights_say() -> None:
    sampler = EpochSampler(4, 1, seed=0, weights=[1.0, 2.0, 3.0, 0.0])
    counts: Counter[int] = Counter()
    for epoch in range(1500):
        sampler.set_epoch(epoch)
        counts.update(draw.index for draw in sampler)
    assert [counts[index] / 6000 for index in range(4)] == pytest.approx([1 / 6, 1 / 3, 1 / 2, 0], abs=0.02)


def test_processes_and_epochs_have_seeds_of_their_own() -> None:
    seeds = {mixed_seed(seed, epoch, process) for seed in range(5) for epoch in range(5) for process in range(5)}
    assert len(seeds) == 125
    seed_epoch(0, 1, 0)
    first = torch.rand(1)
    seed_epoch(0, 1, 1)
    assert first != torch.rand(1)
    seed_epoch(0, 1, 0)
    assert first == torch.rand(1)
