from __future__ import annotations

from typing import Any

import pytest

from softcam.data.augmentation import AUGMENTATIONS, Augmentation
from softcam.errors import ConfigError


def test_the_published_numbers() -> None:
    """science.md §2: Djoumessi & Berens 2026 and their code."""
    fundus = AUGMENTATIONS["fundus"]
    assert (fundus.p, fundus.scale, fundus.ratio) == (0.5, (0.87, 1.15), (0.7, 1.3))
    assert (fundus.horizontal_flip, fundus.vertical_flip) == (0.5, 0.5)
    assert (fundus.rotation, fundus.translation, fundus.hue) == (180, 0.2, 0.1)
    assert fundus.brightness == fundus.contrast == fundus.saturation == (0.8, 1.2)
    assert AUGMENTATIONS["oct"] == fundus
    chest = AUGMENTATIONS["chest"]
    assert (chest.rotation, chest.contrast, chest.brightness) == (30, (0.8, 1.4), (0.8, 1.1))
    assert (chest.horizontal_flip, chest.vertical_flip) == (0.5, 0.5)
    assert (chest.scale, chest.translation, chest.saturation, chest.hue) == ((1, 1), 0, (1, 1), 0)
    assert AUGMENTATIONS["none"] == Augmentation()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"p": 1.5}, "p is 1.5; it must lie in [0, 1]."),
        ({"horizontal_flip": -0.1}, "horizontal_flip is -0.1; it must lie in [0, 1]."),
        ({"rotation": 270}, "rotation is 270; it must lie in [0, 180] degrees."),
        ({"hue": 0.6}, "hue is 0.6; it must lie in [0, 0.5]."),
        ({"scale": (1.2, 0.8)}, "scale is (1.2, 0.8); it must be a lowest and a highest factor above 0."),
        ({"contrast": (0.0, 1.0)}, "contrast is (0.0, 1.0); it must be a lowest and a highest factor above 0."),
        ({"ratio": (1.0, float("nan"))}, "ratio is (1.0, nan); it must be a lowest and a highest factor above 0."),
    ],
)
def test_impossible_values_are_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Augmentation(**values)
    assert str(caught.value) == message
