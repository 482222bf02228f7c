from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softcam.explainers import build_explainer
from softcam.explainers.cam import grad_cam, grad_cam_plus_plus, layer_cam
from softcam.metrics.localization import upsample_maps
from tests.explainers.networks import NETWORKS, Classifier, WindowClassifier, batch, seeded

CLASSES = torch.tensor([0, 1, 2, 1])


def explain(name: str, model: nn.Module) -> Tensor:
    return build_explainer(name, model, example=batch(1))(batch(4), CLASSES).maps


def features_and_gradients(features: Tensor, head: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    features = features.detach().requires_grad_()
    chosen = head(features)[torch.arange(4), CLASSES].sum()
    return features.detach(), torch.autograd.grad(chosen, features)[0]


def window_parts() -> tuple[nn.Module, Tensor, Callable[[Tensor], Tensor]]:
    """Return a network with a non-linear head, the features of the batch, and the head."""
    model = seeded(WindowClassifier)
    return model, model.features(batch(4)), lambda z: model.classifier(model.pool(z).flatten(1))


def test_gradcam_is_the_positive_part_of_cam_over_the_cells() -> None:
    model = seeded(Classifier)
    cam = build_explainer("cam", model, example=batch(1))(batch(4, (4, 4)), CLASSES).maps
    grad = build_explainer("gradcam", model, example=batch(1))(batch(4, (4, 4)), CLASSES).maps
    torch.testing.assert_close(grad, cam.relu(), rtol=1e-4, atol=1e-6)

    cells = torch.einsum("nd,ndhw->nhw", model.fc.weight[CLASSES], model.second(model.first(batch(4)))).detach()
    torch.testing.assert_close(explain("gradcam", model), upsample_maps(cells.relu() / 16, (16, 16)))


def test_gradcam_is_that_of_captum() -> None:
    from captum.attr import LayerGradCam

    model, *_ = window_parts()
    reference = LayerGradCam(model, model.features).attribute(batch(4), CLASSES, relu_attributions=True)
    torch.testing.assert_close(explain("gradcam", model), upsample_maps(reference[:, 0], (16, 16)))


@pytest.mark.parametrize("network", ["functional", "converted"])
def test_gradcam_of_a_map_that_no_module_gives(network: str) -> None:
    model = NETWORKS[network]()
    linear = model.evidence[0].classes if network == "converted" else model.fc
    features = model.backbone(batch(4)) if network == "converted" else F.relu(model.features(batch(4)))
    cells = torch.einsum("nd,ndhw->nhw", linear.weight.flatten(1)[CLASSES], features).relu() / features[0, 0].numel()
    torch.testing.assert_close(explain("gradcam", model), upsample_maps(cells.detach(), (16, 16)))


@pytest.mark.parametrize(
    ("name", "reference"), [("gradcam", "GradCAM"), ("gradcam++", "GradCAMPlusPlus"), ("layercam", "LayerCAM")]
)
def test_maps_are_those_of_pytorch_grad_cam_before_it_stretches_them(name: str, reference: str) -> None:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, *_ = window_parts()
    with torch.no_grad():
        model.classifier[-1].weight *= 1000  # its constant of 1e-6 beside squared gradients must not matter
    cam = getattr(pytorch_grad_cam, reference)(model=model, target_layers=[model.features])
    targets = [ClassifierOutputTarget(int(c)) for c in CLASSES]
    theirs = torch.from_numpy(cam(input_tensor=batch(4), targets=targets))
    cam.activations_and_grads.release()
    ours = explain(name, model)
    low, high = ours.amin((1, 2), keepdim=True), ours.amax((1, 2), keepdim=True)
    torch.testing.assert_close((ours - low) / (high - low), theirs, rtol=1e-3, atol=1e-3)


def test_layercam_is_that_of_torchcam() -> None:
    import torchcam.methods

    model, features, head = window_parts()
    with torchcam.methods.LayerCAM(model, target_layer="features") as extractor:
        theirs = extractor(CLASSES.tolist(), model(batch(4)), normalized=False)[0]
    torch.testing.assert_close(layer_cam(*features_and_gradients(features, head)), theirs.detach())


def test_gradcam_plus_plus_by_its_published_formula() -> None:
    features, gradients = features_and_gradients(*window_parts()[1:])
    a, g = features.double(), gradients.double()
    alphas = g**2 / (2 * g**2 + a.sum((2, 3), keepdim=True) * g**3)
    weights = (alphas.nan_to_num(0) * g.relu()).sum((2, 3), keepdim=True)
    expected = (weights * a).sum(1).relu()
    torch.testing.assert_close(grad_cam_plus_plus(features, gradients).double(), expected, rtol=1e-4, atol=1e-7)


def test_gradcam_plus_plus_does_not_depend_on_the_number_of_cells() -> None:
    """A constant in the denominator takes over where gradients are small, as they are on a large map."""
    features = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1)
    weights = torch.tensor([1e-3, 2e-3]).view(1, 2, 1, 1)

    def share(cells: int) -> float:
        maps = features.expand(1, 2, cells, cells)
        single = [maps * (torch.arange(2) == k).view(1, 2, 1, 1) for k in range(2)]
        parts = [float(grad_cam_plus_plus(one, weights.expand_as(maps) / cells**2)[0, 0, 0]) for one in single]
        return parts[0] / sum(parts)

    assert share(32) == pytest.approx(share(1), rel=1e-3)


def test_grad_cam_formulas_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
    gradients = torch.tensor([[[[1.0, -3.0]], [[2.0, 0.0]]]])
    # mean gradients -1 and 1: -1·(1, 2) + 1·(3, 0) = (2, -2)
    assert grad_cam(features, gradients).tolist() == [[[2.0, 0.0]]]
    assert layer_cam(features, gradients).tolist() == [[[1.0 + 6.0, 0.0]]]
    # channel sums 3 and 3: weights 1/(2+3) and 2/(2+6)
    expected = torch.tensor([[[0.2 * 1 + 0.25 * 3, 0.2 * 2]]])
    torch.testing.assert_close(grad_cam_plus_plus(features, gradients), expected)


def test_scorecam_by_its_published_algorithm() -> None:
    model, features, _ = window_parts()
    expected = []
    for image, maps, wanted in zip(batch(4), features.detach(), CLASSES, strict=True):
        scores = []
        for one in maps:
            mask = upsample_maps(one[None], (16, 16))
            mask = (mask - mask.min()) / (mask.max() - mask.min()) if mask.max() > mask.min() else 0 * mask
            difference = model((image * mask)[None]) - model(0 * image[None])
            scores.append(difference[0, wanted].detach())
        weights = torch.stack(scores).softmax(0)
        expected.append((weights[:, None, None] * maps).sum(0).relu())
    torch.testing.assert_close(explain("scorecam", model), upsample_maps(torch.stack(expected), (16, 16)))


def test_scorecam_in_chunks_is_the_same() -> None:
    model = NETWORKS["functional"]()
    explainer = build_explainer("scorecam", model, example=batch(1))
    whole = explainer(batch(4), CLASSES).maps
    explainer.batch_size = 3
    torch.testing.assert_close(explainer(batch(4), CLASSES).maps, whole)


def test_no_gradient_reaches_what_the_user_holds() -> None:
    model, images = seeded(Classifier), batch(4).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps = build_explainer("gradcam", model, example=batch(1))(images, CLASSES).maps
    assert not maps.requires_grad
    assert images.grad is None
    assert images.requires_grad
