from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor, nn

import softcam
from softcam.model.tracing import logits_of, trace
from tests.model.networks import TinyNet, randomize

IMAGE = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


class AsksForTheSize(TinyNet):
    """Takes another path for small images, as networks that pad or crop do."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(self.stem(x))
        if features.shape[-1] > 8:
            features = features[..., 1:, 1:]
        _, _, *size = features.shape
        return self.fc(features.flatten(2).sum(2) / len(size) / features[0, 0].numel() * 2)


class ReturnsMore(TinyNet):
    """Returns its logits by name, as the classifiers of transformers do, and takes arguments with defaults."""

    def forward(self, x: Tensor, labels: Tensor | None = None, **options: object) -> dict[str, Tensor]:
        logits = super().forward(x)
        return {"logits": logits} if labels is None else {"loss": logits.mean(), "logits": logits}


class _Exchange(nn.Module):
    """Changes the list that it is given, as HRNet's stages do."""

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps[0] = maps[0] + 1
        return [torch.relu(entry) for entry in maps]


class ListsOfMaps(TinyNet):
    def __init__(self) -> None:
        super().__init__()
        self.exchange = _Exchange()

    def forward(self, x: Tensor) -> Tensor:
        first = self.stem(x)
        maps = self.exchange([first, self.body(first)])
        return self.fc(self.pool(maps[-1]).flatten(1))


class SizeOfAnother(TinyNet):
    """Reshapes by the batch size of an earlier tensor, as torchxrayvision does."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.stem(x)
        return self.fc(self.pool(torch.relu(self.body(features))).view(features.size(0), -1))


@pytest.mark.parametrize("kind", [AsksForTheSize, ListsOfMaps, SizeOfAnother])
def test_networks_with_python_in_their_forward_method_are_exact(kind: type[nn.Module]) -> None:
    source = randomize(kind()).eval()
    model = softcam.convert(source, example=IMAGE)
    images = torch.randn(3, 3, 80, 96)
    assert model.report.exact
    with torch.no_grad():
        torch.testing.assert_close(model(images), source(images), rtol=1e-5, atol=1e-5)


def test_logits_are_taken_from_what_a_network_returns() -> None:
    source = randomize(ReturnsMore()).eval()
    images = torch.randn(2, 3, 40, 48)
    with torch.no_grad():
        torch.testing.assert_close(softcam.convert(source)(images), source(images)["logits"], rtol=1e-5, atol=1e-5)
    assert torch.equal(logits_of(images), images)


def test_the_length_of_a_tensor_is_no_constant() -> None:
    class Counts(TinyNet):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * len(x)

    with pytest.raises(softcam.ConversionError, match=r"torch.fx cannot trace its forward method .*len"):
        softcam.convert(Counts(), example=IMAGE)


def test_images_that_would_take_another_path_are_refused() -> None:
    model = softcam.convert(randomize(AsksForTheSize()).eval(), example=IMAGE)
    with pytest.raises(
        softcam.ConfigError,
        match=r"^the network treats images of this size differently from the example that it was converted with; pass",
    ):
        model(torch.randn(1, 3, 24, 24))


def test_questions_survive_pickling() -> None:
    model = softcam.convert(randomize(AsksForTheSize()).eval(), example=IMAGE)
    restored = pickle.loads(pickle.dumps(model))
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(restored(images), model(images))
    with pytest.raises(softcam.ConfigError, match="differently"):
        restored(torch.randn(1, 3, 24, 24))


def test_shapes_are_those_of_the_example() -> None:
    traced, shapes = trace(TinyNet().eval(), IMAGE)
    targets = {node.target: shapes[node.name] for node in traced.graph.nodes if node.op == "call_module"}
    assert targets["stem"] == (1, 8, 32, 32)
    assert targets["fc"] == (1, 3)


def test_an_image_that_the_network_does_not_take_is_an_error_with_its_shape() -> None:
    with pytest.raises(softcam.ConversionError, match=r"fails on an input of shape \(1, 4, 64, 64\)"):
        trace(TinyNet().eval(), torch.zeros(1, 4, 64, 64))
