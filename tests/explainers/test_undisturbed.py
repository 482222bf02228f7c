from __future__ import annotations

import pytest
import torch
from torch import nn

from softcam.explainers.undisturbed import undisturbed
from tests.explainers.networks import Classifier, batch, seeded


def disturb(model: nn.Module) -> None:
    """Do to a model what careless explainers do."""
    model.train()
    model(batch(4))  # moves the statistics of the norms
    model.first[0].register_forward_hook(lambda module, inputs, output: output * 0)
    model.first[0].register_forward_pre_hook(lambda module, inputs: inputs, with_kwargs=False)
    model.fc.register_full_backward_hook(lambda module, inputs, outputs: None)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model(batch(2)).sum().backward()
    model.fc.weight.requires_grad_(False)
    torch.rand(3)


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails: bool) -> None:
    model = seeded(Classifier)
    model.second.train()
    model.first[0].weight.requires_grad_(False)
    model.fc.bias.grad = gradient = torch.full((3,), 5.0)
    kept = model.second.register_forward_hook(lambda module, inputs, output: None)
    modes = [module.training for module in model.modules()]
    required = [parameter.requires_grad for parameter in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()

    try:
        with undisturbed(model):
            disturb(model)
            if fails:
                raise IndexError("an explainer's own")
    except IndexError:
        assert fails
    else:
        assert not fails

    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == required
    assert model.fc.bias.grad is gradient
    assert torch.equal(gradient, torch.full((3,), 5.0))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == ["fc.bias"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert list(model.second._forward_hooks) == [kept.id]
    assert not model.first[0]._forward_hooks
    assert not model.first[0]._forward_pre_hooks
    assert not model.fc._backward_hooks
    assert torch.equal(torch.get_rng_state(), random_state)


def test_inside_the_model_evaluates_and_gradients_flow() -> None:
    model = seeded(Classifier).train()
    with torch.inference_mode(), undisturbed(model):
        images = batch(1).requires_grad_()
        assert not any(module.training for module in model.modules())
        assert torch.autograd.grad(model(images).sum(), images)[0].any()
    assert model.training
