from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.evaluation.conftest import write_squares
from tests.reporting.conftest import NAMES

from softcam.data.manifest import Manifest
from softcam.errors import CheckpointError, ConfigError, DataError
from softcam.reporting.measured import Measured, NamedRun
from softcam.reporting.report import render_report, write_report


class Page(HTMLParser):
    """What a page is made of: its tags in order, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, tag: str) -> Iterator[dict[str, str]]:
        return (attributes for name, attributes in self.tags if name == tag)


@pytest.fixture(scope="module")
def page(measured: list[Measured], squares: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    out = tmp_path_factory.mktemp("report") / "report.html"
    assert render_report(measured, squares, out, title="Squares & more") == out
    return Page(out)


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.source.startswith("<!doctype html>")
    assert page.open == []
    anchors = {link["href"] for link in page.attributes("a")}
    identifiers = {f"#{attributes['id']}" for _, attributes in page.tags if "id" in attributes}
    assert anchors <= identifiers


def test_nothing_is_loaded_from_outside(page: Page) -> None:
    loaded = [attributes.get("src") or attributes.get("href") or "" for tag, attributes in page.tags if tag != "a"]
    assert {address.partition(":")[0] for address in loaded if address} == {"data"}
    assert not list(page.attributes("script"))
    assert not list(page.attributes("link"))
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_every_picture_and_table_is_described(page: Page) -> None:
    assert len(list(page.attributes("img"))) > 10
    assert all(image.get("alt") for image in page.attributes("img"))
    tables = page.source.count("<table")
    assert tables == page.source.count("<caption>") > 3
    assert all(header.get("scope") in ("col", "row") for header in page.attributes("th"))


def test_the_numbers_of_the_evaluations_are_on_the_page(page: Page, measured: list[Measured]) -> None:
    for model in measured:
        facts = json.loads(json.dumps(model.evaluation.to_dict()))
        scores = [*facts["metrics"].values(), facts["locality"]]
        for score in [*scores, *(each["score"] for each in facts["localization"].values())]:
            assert f"{score['estimate']:.3f} [{score['low']:.3f}, {score['high']:.3f}]" in page.text
        for each in facts["localization"].values():
            assert f"chance {each['chance']:.3f}" in page.text
            assert f"ceiling {each['ceiling']:.3f}" in page.text
        for row in facts["confusion"]:
            assert " ".join(map(str, row)) in page.text


def test_differences_are_those_of_the_comparison(page: Page, measured: list[Measured]) -> None:
    difference = measured[1].differences["activation_precision"].estimate
    assert f"Δ {difference:+.3f}" in page.text


def test_names_are_escaped(page: Page) -> None:
    assert NAMES[0] in page.text
    assert NAMES[0] not in page.source
    assert "<title>Squares &amp; more</title>" in page.source


def test_the_page_says_how_cases_were_chosen_and_by_whom(page: Page) -> None:
    assert f"grouped by the decisions of {NAMES[-1]}" in page.text
    assert "no one chose them" in page.text
    for heading in ("True positives · 7 of 16", "False positives · 1 of 16", "False negatives · 1 of 16"):
        assert heading in page.text


def test_the_page_says_what_it_does_not_promise(page: Page) -> None:
    for heading in (
        "Complete is not local",
        "No finer than its cells",
        "The contrast is shown",
        "Not a medical device",
    ):
        assert heading in page.text
    assert "Maps of 8×8 and 32×32 cells" in page.text


def test_no_machine_path_is_on_the_page(page: Page, squares: Manifest) -> None:
    assert squares.path is not None
    assert str(squares.path.parent) not in page.source


def test_the_same_models_make_the_same_page(measured: list[Measured], squares: Manifest, tmp_path: Path) -> None:
    first = render_report(measured, squares, tmp_path / "1.html").read_bytes()
    assert first == render_report(measured, squares, tmp_path / "2.html").read_bytes()


def test_without_annotations_localization_is_left_out(runs: list[Path], tmp_path: Path) -> None:
    images = write_squares(tmp_path / "bare", annotated=False)
    page = Page(write_report([NamedRun("a", runs[1])], images, out=tmp_path / "report.html", progress=False))
    assert "have no annotations, so whether the evidence is in the right place cannot be measured" in page.text
    assert "Activation precision" not in page.text
    assert "annotations outlined" not in page.text
    assert re.search(r"Locality .*?1\.000", page.text)


def test_a_model_without_evidence_is_reported_without(
    measured: list[Measured], squares: Manifest, tmp_path: Path
) -> None:
    mute = replace(
        measured[0].evaluation, map_size=None, localization={}, locality=None, completeness=None, notes=("Left out.",)
    )
    models = [replace(measured[0], explainer=None, evaluation=mute, name="Mute"), measured[1]]
    page = Page(render_report(models, squares, tmp_path / "report.html"))
    assert "no evidence map" in page.text
    assert "Mute: Left out." in page.text
    alone = Page(render_report(models[:1], squares, tmp_path / "alone.html"))
    assert "at most here" not in alone.text


def test_runs_are_measured_and_told_from_disk(runs: list[Path], squares: Manifest, tmp_path: Path) -> None:
    assert squares.path is not None
    named = [NamedRun(path.name, path) for path in runs]
    page = Page(write_report(named, squares.path, out=tmp_path / "deep" / "report.html", progress=False))
    assert "manifest.csv, split test: 16 images of eight patients (8 healthy, 8 sick)" in page.text
    assert "coarse" in page.text


def test_refusals(measured: list[Measured], runs: list[Path], squares: Manifest, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with pytest.raises(ConfigError, match=r"^a report needs at least one run; name its folder$"):
        write_report([], squares, out=out)
    with pytest.raises(ConfigError, match=r"^cases is -1; it is at least 0$"):
        render_report(measured, squares, out, cases=-1)
    with pytest.raises(CheckpointError, match=r"give the folder of a trained model or of a run$"):
        write_report([NamedRun("x", tmp_path / "none")], squares, out=out)
    others = write_squares(tmp_path / "others")
    with pytest.raises(DataError, match=r"^the evaluations are not of the images of .*; evaluate the runs on these$"):
        write_report([NamedRun("x", runs[1])], others, out=out, evaluations=[measured[1].evaluation])
    assert not out.exists()
