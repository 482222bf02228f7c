from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.training.conftest import tiny_network

import softcam
from softcam.errors import ConfigError
from softcam.model.checkpoint import Head, load_checkpoint
from softcam.model.evidence import SoftCAM
from softcam.training.config import OptimConfig, Optimizer, Precision, TrainConfig
from softcam.training.loop import train
from softcam.training.run import algorithms, make_accelerator, make_optimizer, set_up

pytestmark = pytest.mark.usefixtures("tiny")

MakeConfig = Callable[..., TrainConfig]


def test_sgd_is_the_published_one() -> None:
    optim = OptimConfig(optimizer=Optimizer.SGD, lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    optimizer = make_optimizer(tiny_network(2), optim)
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (1e-3, 0.9, True, 5e-4)


def test_adamw_trains_every_weight() -> None:
    network = tiny_network(2)
    optimizer = make_optimizer(network, OptimConfig(weight_decay=0.2))
    assert isinstance(optimizer, torch.optim.AdamW)
    (group,) = optimizer.param_groups
    assert (len(group["params"]), group["weight_decay"]) == (len(list(network.parameters())), 0.2)


@pytest.mark.parametrize("kind", list(Optimizer))
def test_the_evidence_layer_has_a_learning_rate_of_its_own(kind: Optimizer) -> None:
    network = softcam.convert(tiny_network(2))
    optimizer = make_optimizer(network, OptimConfig(kind, lr=0.1, evidence_lr=6))
    assert [group["lr_factor"] for group in optimizer.param_groups] == [1, 6]
    others, evidence = (group["params"] for group in optimizer.param_groups)
    assert {id(p) for p in evidence} == {id(p) for p in network.evidence.parameters()}
    assert {id(p) for p in [*others, *evidence]} == {id(p) for p in network.parameters()}


def test_a_step_uses_the_factors_of_the_schedule(make_config: MakeConfig) -> None:
    config = make_config(optim={"lr": 1e-2, "evidence_lr": 3, "epochs": 1})
    train(config)
    state = torch.load(next((config.run.out / "last").glob("epoch-*/optimizer.bin")), weights_only=False)
    slow, fast = (group["lr"] for group in state["param_groups"])
    assert fast == pytest.approx(3 * slow)
    assert slow > 0


def test_the_card_names_the_stages_of_a_pyramid(make_config: MakeConfig) -> None:
    config = make_config(model={"stages": 8, "fusion": 4, "power": 2.0}, optim={"epochs": 1})
    train(config)
    checkpoint = load_checkpoint(config.run.out)
    card = checkpoint.card
    assert (card.stages, card.fusion, card.power) == (("stage1.2", "stage2.1"), 4, 2.0)
    assert checkpoint.model.map_size(32, 32) == (8, 8)


def test_a_run_counts_its_steps_and_images(make_config: MakeConfig) -> None:
    run = set_up(make_config(optim={"batch_size": 3, "accumulation": 2, "epochs": 5, "warmup_epochs": 0.5}), False)
    assert (run.steps_per_epoch, run.images_per_batch, run.images_per_epoch) == (2, 3, 12)
    assert (run.schedule.warmup, run.schedule.total) == (1, 10)


def test_mixing_uses_the_size_of_the_maps_and_its_own_warmup(make_config: MakeConfig) -> None:
    run = set_up(make_config(data={"size": (32, 64)}, loss={"mix_warmup_epochs": 2.0}), False)
    assert isinstance(run.network, SoftCAM)
    assert run.objective.map_size == (4, 8)
    assert run.objective.warmup == 2 * 4


@pytest.mark.parametrize("head", list(Head))
def test_the_notes_say_what_the_head_leaves_out(make_config: MakeConfig, head: Head) -> None:
    run = set_up(make_config(model={"head": head}, loss={"l1": 0.0, "mix": 1.0}), False)
    said = "head gap has no evidence maps: loss.mix not used" in run.notes
    assert said == (head is Head.GAP)


def test_a_single_cell_cannot_be_mixed(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError) as error:
        set_up(make_config(data={"size": 8}), False)
    assert str(error.value) == (
        "loss.mix is 1.0, but at data.size 8 the evidence map is a single cell; enlarge the images, name earlier "
        "model.stages, or set loss.mix to 0"
    )
    assert set_up(make_config(data={"size": 8}, loss={"mix": 0.0}), False).network.training


@pytest.mark.parametrize("head", list(Head))
def test_images_too_small_for_the_backbone_are_refused(make_config: MakeConfig, head: Head) -> None:
    config = make_config(model={"backbone": "inception_v3", "head": head}, data={"size": 32})
    with pytest.raises(ConfigError, match=r"^images of 32×32 px are too small for this network .*; enlarge them$"):
        set_up(config, False)
    assert not config.run.out.exists()


def test_nothing_is_written_when_something_does_not_fit(make_config: MakeConfig) -> None:
    config = make_config(model={"backbone": "nonet"})
    with pytest.raises(ConfigError, match=r"^backbone 'nonet' is not a torchvision classifier"):
        set_up(config, False)
    assert not config.run.out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^optim.precision is fp16, which a CPU has not; use bf16 or fp32$"):
        make_accelerator(replace(OptimConfig(), precision=Precision.FP16))


def test_the_choice_of_algorithms_ends_with_the_run() -> None:
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with algorithms(deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == before
