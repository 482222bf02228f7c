from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.evaluation.audit.conftest import write_set
from tests.evaluation.conftest import checkpoint, square_reader

from softcam.evaluation.audit import Audit, Roi, Settings, audit
from softcam.reporting.audit import headline, write_audit_report


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    manifest = write_set(tmp_path_factory.mktemp("page") / "trap", trap=True, count=60)
    return audit(checkpoint(square_reader()), manifest, Settings(resamples=100, roi=Roi.NONE), progress=False)


def test_the_page_says_it_in_one_file(trapped: Audit, tmp_path: Path) -> None:
    page = write_audit_report(trapped, tmp_path / "out").read_text(encoding="utf-8")
    assert headline(trapped) == "Alarm: 4 things that no finding explains."
    for finding in trapped.findings:
        assert finding.sentence in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count("<img") == 2
    names = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert names == {f"{name}.{suffix}" for name in ("mean-maps", "properties-sick") for suffix in ("png", "svg")}


def test_images_with_evidence_outside_are_shown(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "clean", trap=False, count=60)
    result = audit(checkpoint(square_reader()), manifest, Settings(resamples=100, roi=Roi.MASK), progress=False)
    assert headline(result) == "No alarm: nothing but the finding surely tells the labels apart."
    page = write_audit_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert page.count("<img") == 3
    assert Path(result.worst[0].image).name not in page  # inside the picture alone
    assert (tmp_path / "out" / "figures" / "worst.png").is_file()


def test_without_maps_the_labels_are_shown_alone(trapped: Audit, tmp_path: Path) -> None:
    bare = replace(trapped, mean_maps=(), places=(), worst=(), worst_maps=())
    page = write_audit_report(bare, tmp_path / "out").read_text(encoding="utf-8")
    assert page.count("<img") == 1
    assert "Where the evidence is" not in page
