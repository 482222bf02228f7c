"""Explaining a model must not change it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# torch has no public way to see which hooks a module carries
_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into eval mode, let gradients flow, and afterwards leave everything as it was.

    That is: the mode of every module; ``requires_grad`` and ``grad`` of every parameter, which are out of reach
    inside, so that nothing is added to them; hooks and buffers; torch's random numbers. It holds where the code
    inside fails as well. Inside a caller's ``torch.inference_mode`` gradients flow too.
    """
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    with (
        torch.random.fork_rng(devices=devices),
        torch.inference_mode(False),
        torch.enable_grad(),
        _modes(model),
        _gradients(model),
        _buffers(model),
        _hooks(model),
    ):
        yield


@contextmanager
def _modes(model: nn.Module) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


@contextmanager
def _gradients(model: nn.Module) -> Iterator[None]:
    before = {parameter: (parameter.requires_grad, parameter.grad) for parameter in model.parameters()}
    for parameter in before:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, (required, gradient) in before.items():
            parameter.requires_grad_(required).grad = gradient


@contextmanager
def _buffers(model: nn.Module) -> Iterator[None]:
    before = {buffer: buffer.clone() for buffer in model.buffers()}
    try:
        yield
    finally:
        for buffer, value in before.items():
            if not torch.equal(buffer, value):
                buffer.copy_(value)


@contextmanager
def _hooks(model: nn.Module) -> Iterator[None]:
    registries = [getattr(module, name) for module in model.modules() for name in _HOOKS]
    before = [dict(registry) for registry in registries]
    try:
        yield
    finally:
        for registry, hooks in zip(registries, before, strict=True):
            if registry != hooks:
                registry.clear()
                registry.update(hooks)
