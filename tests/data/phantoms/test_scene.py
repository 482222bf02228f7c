from __future__ import annotations

import numpy as np
import pytest

from softcam.data.phantoms.scene import Measures


def test_without_variation_everyone_has_the_mean() -> None:
    measures = Measures(np.random.default_rng(0), variation=0)
    assert {measures.between(2, 6) for _ in range(10)} == {4}


def test_usual_variation_fills_the_range() -> None:
    measures = Measures(np.random.default_rng(0), variation=1)
    values = [measures.between(2, 6) for _ in range(2000)]
    assert min(values) == pytest.approx(2, abs=0.02)
    assert max(values) == pytest.approx(6, abs=0.02)


def test_variation_does_not_change_how_many_numbers_are_drawn() -> None:
    streams = [np.random.default_rng(0) for _ in range(2)]
    for stream, variation in zip(streams, (0.0, 1.0), strict=True):
        Measures(stream, variation).between(0, 1)
    assert streams[0].uniform() == streams[1].uniform()


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_events_happen_as_often_as_they_should(probability: float) -> None:
    measures = Measures(np.random.default_rng(0), variation=1)
    happened = np.mean([measures.happens(probability) for _ in range(3000)])
    assert happened == pytest.approx(probability, abs=0.03)
