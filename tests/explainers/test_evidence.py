from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import softcam
from softcam.explainers import build_explainer
from softcam.metrics.localization import upsample_maps
from softcam.model.task import Task
from tests.explainers.networks import Classifier, WindowClassifier, batch, fusion, seeded, stages

CLASSES = torch.tensor([0, 1, 2, 1])


def converted(num_classes: int = 3, task: Task | None = None) -> softcam.SoftCAM:
    return softcam.convert(seeded(lambda: Classifier(num_classes)), task=task, example=batch(1))


def explain(name: str, model: nn.Module, classes: Tensor = CLASSES, task: Task | None = None) -> Tensor:
    return build_explainer(name, model, task=task, example=batch(1))(batch(4), classes).maps


def test_the_contrast_is_what_is_scored_by_default() -> None:
    model = converted()
    contrast = model.explain(batch(4)).contrast()[torch.arange(4), CLASSES]
    torch.testing.assert_close(explain("softcam", model), upsample_maps(contrast, (16, 16)))


def test_for_two_classes_the_contrast_is_the_difference_of_the_maps() -> None:
    model = converted(2)
    maps = model.explain(batch(4)).maps
    ones = torch.ones(4, dtype=torch.int64)
    expected = upsample_maps(maps[:, 1] - maps[:, 0], (16, 16))
    torch.testing.assert_close(explain("softcam", model, ones), expected)
    torch.testing.assert_close(explain("softcam", model, 0 * ones), -expected)


def test_one_logit_speaks_for_the_positive_class() -> None:
    model = converted(1)
    zeros = torch.zeros(4, dtype=torch.int64)
    expected = upsample_maps(model.explain(batch(4)).maps[:, 0], (16, 16))
    for name in ("softcam", "softcam-raw", "cam"):
        torch.testing.assert_close(explain(name, model, zeros), expected)


@pytest.mark.parametrize("name", ["softcam-raw", "cam"])
def test_a_raw_map_adds_up_to_the_logit(name: str) -> None:
    model = converted()
    cells = build_explainer(name, model)(batch(4, (4, 4)), CLASSES)
    assert cells.map_size == (1, 1)
    logits = model(batch(4, (4, 4)))[torch.arange(4), CLASSES]
    torch.testing.assert_close(cells.maps.mean((1, 2)) + model.bias[CLASSES], logits)


def test_a_black_box_is_explained_by_its_class_activation_map() -> None:
    network = seeded(Classifier)
    with torch.no_grad():
        features = network.second(network.first(batch(4)))
        activation = torch.einsum("nd,ndhw->nhw", network.fc.weight[CLASSES], features)
    explanation = build_explainer("cam", network, example=batch(1))(batch(4), CLASSES)
    torch.testing.assert_close(explanation.maps, upsample_maps(activation, (16, 16)), rtol=1e-4, atol=1e-5)
    assert explanation.map_size == (4, 4)
    weight = network.fc.weight.detach()
    contrast = torch.einsum("nd,ndhw->nhw", (weight - weight.mean(0))[CLASSES], features)
    torch.testing.assert_close(explain("softcam", network), upsample_maps(contrast, (16, 16)), rtol=1e-4, atol=1e-5)


def test_the_task_of_a_black_box_decides_its_contrast() -> None:
    network = seeded(Classifier)
    multilabel = explain("softcam", network, task=Task.MULTILABEL)
    torch.testing.assert_close(multilabel, explain("cam", network))
    assert not torch.allclose(multilabel, explain("softcam", network))


def test_stages_add_up_to_the_whole() -> None:
    model = stages()
    model.task = Task.MULTILABEL
    explainers = [build_explainer(f"softcam-{stage}", model) for stage in ("first", "second")]
    images = batch(4)
    first, second = (explainer(images, CLASSES) for explainer in explainers)
    assert (first.map_size, second.map_size) == ((8, 8), (4, 4))
    assert [explainer.name for explainer in explainers] == ["softcam-first", "softcam-second"]
    own = model.stage_maps(images)[0][torch.arange(4), CLASSES].detach()
    bias = model.evidence[0].classes.bias.detach()[CLASSES].view(4, 1, 1)
    torch.testing.assert_close(first.maps, upsample_maps(own - bias, (16, 16)))

    tiny = batch(4, (4, 4))  # 2 and 1 cells a side, for which bilinear enlargement keeps the mean
    total = sum(explainer(tiny, CLASSES).maps.mean((1, 2)) for explainer in explainers)
    torch.testing.assert_close(total + model.bias[CLASSES], model(tiny)[torch.arange(4), CLASSES])


def test_a_stage_that_is_not_there() -> None:
    with pytest.raises(softcam.ConfigError) as error:
        build_explainer("softcam-third", stages())
    assert str(error.value) == "softcam-third: there is no such stage; choose from first, second"
    for model in (converted(), fusion()):
        with pytest.raises(softcam.ConfigError) as error:
            build_explainer("softcam-second", model)
        assert str(error.value) == "softcam-second: this network has its evidence on one layer; use softcam"


def test_an_inexact_conversion_explains_another_function_and_is_refused() -> None:
    with pytest.raises(softcam.ConversionError) as error:
        build_explainer("cam", seeded(WindowClassifier), example=batch(1))
    assert str(error.value).startswith("WindowClassifier has no exact class activation map (not exact (largest logit")
    assert str(error.value).endswith("; convert and fine-tune it, or use gradcam")
