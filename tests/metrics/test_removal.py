from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from softcam.errors import DataError
from softcam.metrics.baselines import blurred_baseline, constant_baseline
from softcam.metrics.grid import patch_side
from softcam.metrics.removal import Deletion, Insertion, Tracked, deletion, insertion


def image_of(values: list[float]) -> Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)


def three_classes(images: Tensor) -> Tensor:
    """A class for red, one for what is left of red when it goes, and one for nothing."""
    red = images.mean(dim=(1, 2, 3))
    return torch.stack([red, 0.6 * (1 - red), 0.4 * (1 - red)], dim=1)


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 4), nn.Softmax(1))
    return nn.Sequential(*layers).eval()


def test_deletion_follows_the_class_of_the_whole_image() -> None:
    image = image_of([1.0, 1.0, 1.0, 1.0, 0.0])
    options = {"patch": 1, "steps": 5}
    curves = deletion(three_classes, image, image[:, 0], torch.zeros_like(image), **options)
    torch.testing.assert_close(curves.probability, torch.tensor([[0.8, 0.6, 0.4, 0.2, 0.0, 0.0]]))
    assert curves.predicted.tolist() == [[1, 1, 1, 0, 0, 0]]
    torch.testing.assert_close(curves.area, torch.tensor([(0.4 + 0.6 + 0.4 + 0.2) / 5]))


def test_the_published_protocol_follows_whatever_is_on_top() -> None:
    image = image_of([1.0, 1.0, 1.0, 1.0, 0.0])
    baseline = constant_baseline(image)
    curves = deletion(three_classes, image, image[:, 0], baseline, patch=1, steps=5, tracked=Tracked.TOP)
    torch.testing.assert_close(curves.probability, torch.tensor([[0.8, 0.6, 0.4, 0.48, 0.6, 0.6]]))
    assert curves.predicted.tolist() == [[1, 1, 1, 0, 0, 0]]


def test_insertion_knows_the_decision_before_it_has_the_image() -> None:
    image = image_of([1.0, 1.0, 1.0, 1.0, 0.0])
    curves = insertion(three_classes, image, image[:, 0], torch.zeros_like(image), patch=1, steps=3)
    torch.testing.assert_close(curves.probability, torch.tensor([[0.0, 0.2, 0.4, 0.6]]))
    assert curves.predicted.tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("take_apart", [deletion, insertion])
def test_one_output_is_two_classes(take_apart) -> None:
    images = torch.rand(6, 1, 8, 8)

    def positive(images: Tensor) -> Tensor:
        return images[:, :, ::2].mean(dim=(2, 3))

    def both(images: Tensor) -> Tensor:
        return torch.cat([1 - positive(images), positive(images)], dim=1)

    maps = torch.rand(6, 8, 8)
    one, two = (take_apart(classify, images, maps, patch=2, steps=4) for classify in (positive, both))
    assert torch.equal(one.probability, two.probability)
    assert torch.equal(one.predicted, two.predicted)
    assert (positive(images) < 0.5).any()
    assert (one.predicted[:, 0] == 1).all() or take_apart is insertion


@pytest.mark.parametrize("tracked", Tracked)
@pytest.mark.parametrize("size", [(64, 64), (45, 61)])
def test_defaults_are_a_blurred_image_and_patches_of_the_published_share(tracked, size) -> None:
    model, images, maps = network(), torch.rand(2, 3, *size), torch.randn(2, *size)
    for take_apart in (deletion, insertion):
        curves = take_apart(model, images, maps, tracked=tracked)
        options = {"patch": patch_side(size), "steps": 30, "steps_at_once": 7}
        named = take_apart(model, images, maps, blurred_baseline(images), tracked=tracked, **options)
        torch.testing.assert_close(curves.probability, named.probability)
        assert curves.probability.shape == (2, 31)


def test_a_map_that_is_not_finite_has_no_curve() -> None:
    images, maps = torch.rand(3, 3, 16, 16), torch.randn(3, 16, 16)
    maps[1, 0, 0] = torch.nan
    for take_apart in (deletion, insertion):
        for tracked in Tracked:
            curves = take_apart(network(), images, maps, patch=4, steps=5, tracked=tracked)
            for values in (curves.probability, curves.predicted, curves.area[:, None]):
                assert values.isnan().all(dim=1).tolist() == [False, True, False]


@pytest.mark.parametrize(("metric", "function"), [(Deletion, deletion), (Insertion, insertion)])
def test_classes_stream_the_mean_area(metric, function) -> None:
    model, images, maps = network(), torch.rand(5, 3, 16, 16), torch.randn(5, 16, 16)
    maps[2] = torch.inf
    streamed = metric(patch=4, steps=6, tracked=Tracked.TOP)
    streamed.update(model, images[:2], maps[:2])
    streamed.update(model, images[2:], maps[2:])
    area = function(model, images, maps, patch=4, steps=6, tracked=Tracked.TOP).area
    torch.testing.assert_close(streamed.compute(), area.nanmean())
    assert streamed.higher_is_better is (metric is Insertion)
    copied = streamed.clone()
    copied.reset()
    copied.update(model, images, maps)
    torch.testing.assert_close(copied.compute(), streamed.compute())


def test_what_does_not_classify_is_named() -> None:
    images, maps = torch.rand(2, 3, 8, 8), torch.rand(2, 8, 8)
    with pytest.raises(DataError, match=r"classify gave \(2,\): it must give probabilities \(n, K\)"):
        deletion(lambda x: x.mean(dim=(1, 2, 3)), images, maps)
    with pytest.raises(DataError, match=r"images must be \(N, C, H, W\), got \(3, 8, 8\)"):
        insertion(network(), images[0], maps)
