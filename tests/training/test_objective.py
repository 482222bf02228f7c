from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, strategies as st
from tests.training.conftest import tiny_network
from torch import Tensor, nn

from softcam.losses import ElasticNet, MixConsistency
from softcam.model.convert import convert
from softcam.model.evidence import SoftCAM
from softcam.model.task import Task
from softcam.training.config import LossConfig
from softcam.training.objective import Criterion, Objective, balancing_weights


@pytest.fixture
def model() -> SoftCAM:
    torch.manual_seed(0)
    return convert(tiny_network(3))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(6, 3, 32, 32), torch.arange(6) % 3


def objective(model: SoftCAM, settings: LossConfig, warmup: int = 0) -> Objective:
    return Objective(Criterion(Task.MULTICLASS), settings, model.map_size(32, 32), warmup)


class TestCriterion:
    def test_is_cross_entropy_for_softmax_and_binary_cross_entropy_for_sigmoids(self) -> None:
        logits = torch.randn(5, 3)
        classes, labels = torch.arange(5) % 3, torch.randint(2, (5, 3)).float()
        torch.testing.assert_close(Criterion(Task.MULTICLASS)(logits, classes), F.cross_entropy(logits, classes))
        expected = F.binary_cross_entropy(logits.sigmoid(), labels)
        torch.testing.assert_close(Criterion(Task.MULTILABEL)(logits, labels), expected)
        torch.testing.assert_close(
            Criterion(Task.BINARY)(logits[:, :1], labels[:, :1]),
            F.binary_cross_entropy(logits[:, :1].sigmoid(), labels[:, :1]),
        )

    @pytest.mark.parametrize("task", [Task.MULTICLASS, Task.MULTILABEL])
    def test_halves_of_a_weighted_batch_average_to_the_whole(self, task: Task) -> None:
        logits = torch.randn(8, 3, dtype=torch.float64)
        targets = torch.arange(8) % 3 if task is Task.MULTICLASS else torch.randint(2, (8, 3)).double()
        criterion = Criterion(task, torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64))
        halves = [criterion(logits[part], targets[part]) for part in (slice(0, 4), slice(4, 8))]
        torch.testing.assert_close(sum(halves) / 2, criterion(logits, targets))


class TestBalancingWeights:
    @given(st.lists(st.integers(1, 1000), min_size=2, max_size=6))
    def test_softmax_weights_have_mean_one_and_equal_sums_over_classes(self, counts: list[int]) -> None:
        weights = balancing_weights(torch.tensor(counts), sum(counts), Task.MULTICLASS)
        sums = weights * torch.tensor(counts)
        assert (sums.sum() / sum(counts)).item() == pytest.approx(1, rel=1e-5)
        assert sums.tolist() == pytest.approx([sum(counts) / len(counts)] * len(counts), rel=1e-5)

    def test_sigmoid_weights_are_negatives_over_positives(self) -> None:
        weights = balancing_weights(torch.tensor([2, 3]), 5, Task.MULTILABEL)
        torch.testing.assert_close(weights, torch.tensor([3 / 2, 2 / 3]))
        torch.testing.assert_close(balancing_weights(torch.tensor([3, 1]), 4, Task.BINARY), torch.tensor([3.0]))


class TestObjective:
    def test_the_black_box_sees_cross_entropy_alone(self, batch: tuple[Tensor, Tensor]) -> None:
        network = tiny_network(3)
        terms = Objective(Criterion(Task.MULTICLASS))(network, *batch, step=0)
        expected = F.cross_entropy(network(batch[0]), batch[1])
        torch.testing.assert_close(terms.detach(), torch.stack([expected, expected, *torch.zeros(2)]).detach())

    def test_is_the_sum_of_the_public_losses(self, model: SoftCAM, batch: tuple[Tensor, Tensor]) -> None:
        settings = LossConfig(l1=0.3, l2=0.2, mix=0.7, mix_fraction=0.5)
        torch.manual_seed(5)
        terms = objective(model, settings)(model, *batch, step=0)
        torch.manual_seed(5)
        logits, maps = model(batch[0], return_evidence=True)
        expected = [
            F.cross_entropy(logits, batch[1]),
            ElasticNet(0.3, 0.2)(maps),
            MixConsistency(0.7, 0.5)(model, batch[0], maps),
        ]
        torch.testing.assert_close(terms[1:], torch.stack(expected).detach())
        torch.testing.assert_close(terms[0], sum(expected, torch.zeros(())))

    def test_only_the_loss_carries_a_gradient_and_it_is_that_of_all_terms(
        self, model: SoftCAM, batch: tuple[Tensor, Tensor]
    ) -> None:
        compute = objective(model, LossConfig(l1=0.3, mix=0.7))
        torch.manual_seed(5)
        terms = compute(model, *batch, step=0)
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(terms[0], parameters)
        torch.manual_seed(5)
        logits, maps = model(batch[0], return_evidence=True)
        loss = F.cross_entropy(logits, batch[1]) + ElasticNet(0.3)(maps) + MixConsistency(0.7)(model, batch[0], maps)
        for ours, theirs in zip(gradients, torch.autograd.grad(loss, parameters), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)

    def test_mix_consistency_warms_up_and_comes_every_nth_step(
        self, model: SoftCAM, batch: tuple[Tensor, Tensor]
    ) -> None:
        compute = objective(model, LossConfig(mix=1.0, mix_every=2), warmup=8)
        assert [step for step in range(8) if compute.mixes_at(step)] == [2, 4, 6]
        mixes = {}
        for step in (0, 1, 2, 8, 16):
            torch.manual_seed(0)
            mixes[step] = compute(model, *batch, step=step)[3].item()
        assert mixes[0] == mixes[1] == 0
        assert mixes[2] == pytest.approx(mixes[8] * 2 / 8)
        assert mixes[8] == mixes[16] > 0

    def test_no_mixing_makes_one_pass_over_the_batch_alone(self, batch: tuple[Tensor, Tensor]) -> None:
        sizes: list[int] = []

        class Counting(nn.Module):
            def forward(self, images: Tensor, return_evidence: bool) -> tuple[Tensor, Tensor]:
                sizes.append(len(images))
                maps = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
                return maps.mean((2, 3)), maps

        for mix, fraction in ((0.0, 1.0), (1.0, 0.5), (1.0, 0.25)):
            settings = LossConfig(mix=mix, mix_fraction=fraction)
            Objective(Criterion(Task.MULTICLASS), settings, (32, 32))(Counting(), *batch, step=1)
        assert sizes == [6, 6 + 3, 6 + math.floor(1.5 + 0.5)]
