from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from softcam.data.manifest import Manifest, Split
from softcam.reporting.measured import Measured, Question
from softcam.reporting.page import build_page

SICK = Question("sick", 1)


def test_the_opening_says_whether_training_saw_the_images(measured: list[Measured], squares: Manifest) -> None:
    def opening(split: Split | None) -> str:
        models = [replace(each, evaluation=replace(each.evaluation, split=split)) for each in measured]
        text: str = build_page(models, squares, SICK, 0)["summary"]["decisions"]
        return text

    assert opening(Split.TEST).startswith("Two models were measured on 16 images that training did not learn from.")
    assert opening(None).startswith("Two models were measured on 16 images, those of the training among them.")


def test_one_model_has_nothing_to_be_compared_with(measured: list[Measured], squares: Manifest) -> None:
    page = build_page(measured[:1], squares, SICK, 0)
    assert page["summary"]["decisions"].startswith("One model was measured on")
    assert "Δ" not in page["reading"]
    assert page["settings"].rows == ()


def test_confusion_of_one_label_of_several(measured: list[Measured], squares: Manifest) -> None:
    tables = np.array([[[9, 0], [0, 7]], [[5, 3], [2, 6]]])
    model = replace(measured[0], evaluation=replace(measured[0].evaluation, confusion=tables))
    (confusion,) = build_page([model], squares, SICK, 0)["confusions"]
    assert confusion["classes"] == ("no sick", "sick")
    assert [[cell["count"] for cell in row["cells"]] for row in confusion["rows"]] == [[5, 3], [2, 6]]


def test_notes_that_all_models_share_are_said_once(measured: list[Measured], squares: Manifest) -> None:
    def noted(model: Measured, *notes: str) -> Measured:
        return replace(model, evaluation=replace(model.evaluation, notes=notes))

    page = build_page([noted(measured[0], "Shared.", "Own."), noted(measured[1], "Shared.")], squares, SICK, 0)
    assert page["explanation_notes"] == ["Shared.", f"{measured[0].name}: Own."]


@pytest.mark.parametrize("known", [True, False])
def test_training_curves_where_epochs_are_known(measured: list[Measured], squares: Manifest, known: bool) -> None:
    rows = ({"epoch": 1, "train_loss": 1.0, "val_loss": 2.0, "val_auroc": 0.5},) if known else ()
    page = build_page([replace(measured[0], history=rows)], squares, SICK, 0)
    assert len(page["training_figures"]) == (3 if known else 0)
