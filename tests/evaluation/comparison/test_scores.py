from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softcam.errors import ConfigError
from softcam.evaluation.comparison.scores import FAITHFULNESS, LOCALIZATION, SCORES, Patches, Removal, known_scores
from softcam.metrics.classification import Direction
from softcam.metrics.removal import Tracked

MASKS = torch.zeros(2, 32, 32, dtype=torch.bool)
MASKS[0, 8:16, 8:16] = True
MASKS[1, 20:22, 4:6] = True
PATCHES = Patches(4, 5)


@pytest.mark.parametrize("name", LOCALIZATION)
def test_the_annotation_as_a_map_reaches_the_ceiling_at_full_resolution(name: str) -> None:
    score = LOCALIZATION[name]
    perfect = score.summed_up(score.compute(MASKS.float(), MASKS, PATCHES))
    assert torch.equal(score.at_ceiling(MASKS, (32, 32), PATCHES), perfect)
    assert torch.allclose(perfect, torch.ones(2))
    assert (score.at_ceiling(MASKS, (8, 8), PATCHES) <= perfect).all()


def test_chance_is_what_a_uniform_map_scores() -> None:
    share = MASKS.float().mean(dim=(1, 2))
    expected = {"activation_precision": share, "pointing_game": share, "pixel_average_precision": share}
    expected |= {"activation_sensitivity": torch.ones(2), "pixel_auroc": torch.full((2,), 0.5)}
    for name, value in expected.items():
        assert torch.allclose(LOCALIZATION[name].at_chance(MASKS, PATCHES), value), name
    placed = torch.tensor([11 * 11, 5 * 5]) / 32**2  # places where a patch of 4 px holds an annotated pixel
    assert torch.allclose(LOCALIZATION["topk_precision"].at_chance(MASKS, PATCHES), placed)


def test_removal_follows_the_map() -> None:
    images = torch.zeros(2, 3, 32, 32)
    images[:, :, 8:16, 8:16] = 1
    maps = images[:, 0].clone()
    maps[1] = -maps[1]

    def classify(batch: Tensor) -> Tensor:
        return batch.mean(dim=(1, 2, 3))[:, None] * 16

    removal = Removal(images, maps, torch.zeros_like(images), classify, Tracked.PREDICTED, Patches(8, 4))
    curves = FAITHFULNESS["deletion"].compute(removal)
    assert curves.probability[0].tolist() == pytest.approx([1, 0, 0, 0, 0])
    assert curves.predicted[0].tolist() == [1, 0, 0, 0, 0]
    assert curves.probability[1].tolist() == pytest.approx([1] * 5)
    inserted = FAITHFULNESS["insertion"].compute(removal).probability
    assert inserted[0].tolist() == pytest.approx([0, 1, 1, 1, 1])
    assert FAITHFULNESS["insertion"].summed_up(inserted).tolist() == pytest.approx([7 / 8, 0])


def test_patches_keep_the_published_share_of_the_image() -> None:
    assert [Patches.of(size, 30).side for size in ((512, 512), (128, 160))] == [33, 8]
    assert Patches.of((512, 512), 30).count == 30


def test_names() -> None:
    assert known_scores(None) == (*LOCALIZATION, *FAITHFULNESS)
    assert known_scores(["sanity"]) == ("sanity",)
    assert known_scores(["insertion", "pointing_game"]) == ("pointing_game", "insertion")
    with pytest.raises(ConfigError, match="metrics has 'accuracy'; choose from activation_precision, "):
        known_scores(["accuracy"])
    with pytest.raises(ConfigError, match="metrics is empty"):
        known_scores([])
    assert [name for name, score in SCORES.items() if score.direction is Direction.LOWER] == [
        "deletion",
        "max_sensitivity",
        "sanity",
    ]
