from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from tests.evaluation.conftest import square_reader

from softcam.data.manifest import Manifest
from softcam.reporting.colours import colour
from softcam.reporting.figures import Embedded
from softcam.reporting.gallery import SHOWN_PX, Gallery, Outcome, make_gallery, outcomes, spread_over_ranks
from softcam.reporting.measured import Measured, Question


def pixels(picture: Embedded | None) -> np.ndarray:
    assert picture is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))))


@pytest.fixture(scope="module")
def gallery(measured: list[Measured], squares: Manifest) -> Gallery:
    return make(measured, squares)


def make(models: list[Measured], images: Manifest, per_outcome: int = 3) -> Gallery:
    question, last = Question("sick", 1), models[-1].evaluation
    asked = question.truth(last), question.probability(last), question.decided(last)
    return make_gallery(models, 1, images, *asked, per_outcome=per_outcome)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_every_image_has_one_outcome(pairs: list[tuple[bool, bool]]) -> None:
    truth, decided = np.array(pairs, dtype=bool).reshape(-1, 2).T
    found = outcomes(truth, decided)
    assert sorted(np.concatenate(list(found.values())).tolist()) == list(range(len(pairs)))
    assert all(truth[index] and not decided[index] for index in found[Outcome.FALSE_NEGATIVE])
    assert all(decided[index] and not truth[index] for index in found[Outcome.FALSE_POSITIVE])


def test_cases_are_spread_over_the_ranks_from_first_to_last() -> None:
    probability = np.linspace(0, 1, 11)
    members = np.arange(11)
    assert spread_over_ranks(members, probability, 3) == [10, 5, 0]
    assert spread_over_ranks(members, probability, 1) == [5]
    assert spread_over_ranks(members, probability, 0) == []
    assert spread_over_ranks(members[:2], probability, 3) == [1, 0]
    assert spread_over_ranks(members[:0], probability, 3) == []


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 50))
def test_the_choice_has_the_extremes_and_no_image_twice(count: int, wanted: int, seed: int) -> None:
    probability = np.round(np.random.default_rng(seed).random(count), 1)
    chosen = spread_over_ranks(np.arange(count), probability, wanted)
    assert len(set(chosen)) == len(chosen) == min(count, wanted)
    assert (np.diff(probability[chosen]) <= 0).all()
    if wanted > 1:
        assert probability[chosen[0]] == probability.max()
        assert wanted > count or probability[chosen[-1]] == probability.min()


def test_the_gallery_has_the_outcomes_of_the_last_model(gallery: Gallery) -> None:
    assert [gallery.counts[outcome] for outcome in Outcome] == [7, 1, 1, 7]
    assert [len(gallery.cases[outcome]) for outcome in Outcome] == [3, 1, 1, 3]
    (missed,) = gallery.cases[Outcome.FALSE_NEGATIVE]
    assert (missed.name, missed.truth) == ("04.png", "sick")


def test_the_choice_does_not_depend_on_the_other_models(measured: list[Measured], squares: Manifest) -> None:
    alone, together = make(measured[-1:], squares), make(measured, squares)
    for outcome in Outcome:
        assert [case.name for case in alone.cases[outcome]] == [case.name for case in together.cases[outcome]]
        for single, both in zip(alone.cases[outcome], together.cases[outcome], strict=True):
            assert single.opinions[0] == both.opinions[-1]


def test_probabilities_are_those_of_the_evaluation(gallery: Gallery, measured: list[Measured]) -> None:
    cases = [case for group in gallery.cases.values() for case in group]
    for place, model in enumerate(measured):
        said = model.evaluation.predictions
        names = [image.rpartition("/")[2] for image in said.images]
        for case in cases:
            expected = said.probabilities[names.index(case.name), 1]
            assert case.opinions[place].probability == pytest.approx(expected, abs=1e-6)


def test_the_number_below_a_map_is_the_contrast_of_the_logits_without_bias(gallery: Gallery) -> None:
    square_share, feature, contrast_weight = (8 * 8) / (32 * 32), 0.5, 200.0
    for case in gallery.cases[Outcome.TRUE_POSITIVE]:
        assert case.opinions[-1].total == pytest.approx(square_share * feature * contrast_weight, rel=1e-5)
    for case in gallery.cases[Outcome.TRUE_NEGATIVE]:
        assert case.opinions[-1].total == 0


def test_pictures_show_the_square_in_the_colour_of_its_evidence(gallery: Gallery) -> None:
    case = gallery.cases[Outcome.TRUE_POSITIVE][0]
    image, evidence = pixels(case.picture), pixels(case.opinions[-1].picture)
    assert image.shape == evidence.shape == (SHOWN_PX, SHOWN_PX, 3)
    inside = image.min(axis=2) > 250
    inside[1:], inside[:, 1:] = inside[1:] & inside[:-1], inside[:, 1:] & inside[:, :-1]
    red, green, blue, alpha = (float(part) for part in colour(np.array([1.0]), 1.0)[0])
    expected = np.array([red, green, blue]) * alpha / 255 + 255 * (1 - alpha / 255)
    centre = np.argwhere(inside).mean(axis=0).astype(int)
    np.testing.assert_allclose(evidence[tuple(centre)], expected, atol=6)


def test_without_evidence_the_panel_is_the_image_in_grey(gallery: Gallery) -> None:
    evidence = pixels(gallery.cases[Outcome.TRUE_NEGATIVE][0].opinions[-1].picture)
    assert np.ptp(evidence.astype(int), axis=2).max() <= 2


def test_every_picture_says_what_it_shows(gallery: Gallery) -> None:
    case = gallery.cases[Outcome.TRUE_POSITIVE][0]
    assert case.picture.alt == f"Image {case.name}, annotation outlined"
    alt = case.opinions[-1].picture.alt  # type: ignore[union-attr]
    assert alt.startswith(f"Evidence of Fine in {case.name}: +100.0 logits in its highest cell, +0.0 in its lowest")


def test_one_scale_for_all_cases_of_a_model(gallery: Gallery) -> None:
    coarse, fine = gallery.limits
    assert fine == 100
    assert 0 < coarse <= 50


def test_a_model_without_evidence_still_has_its_probability(measured: list[Measured], squares: Manifest) -> None:
    mute = replace(measured[0], explainer=None)
    found = make([mute, measured[1]], squares, per_outcome=1)
    (case,) = found.cases[Outcome.TRUE_POSITIVE]
    assert case.opinions[0].picture is None
    assert 0.5 < case.opinions[0].probability <= 1


def test_no_cases_and_no_evidence_at_all_still_have_a_scale(measured: list[Measured], squares: Manifest) -> None:
    assert make(measured, squares, per_outcome=0).limits == (1, 1)
    silent = replace(measured[1].checkpoint, model=square_reader((0.0, 0.0), (0.0, 0.0)))
    assert make([replace(measured[1], checkpoint=silent, explainer=None)], squares).limits == (1,)
