"""The page, clicked through in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.delivery.viewer.browser import Browser, browsing
from tests.delivery.viewer.conftest import CELLS, LIMITS, encoded, listening, maps_of, picture, softmax, viewed
from tests.reporting.networks import BIAS, SIZE

from softcam.delivery.viewer.access import Access
from softcam.delivery.viewer.app import Folder, create_app
from softcam.reporting.colours import colour

TOKEN = "0123456789abcdef"
MARKS = ".panel:first-child .marks"
CTRL, SHIFT = 2, 8


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(folder: Folder, browser: Browser) -> Iterator[str]:
    with listening(create_app([viewed(limit=8), viewed("second", limit=8)], folder, limits=LIMITS)) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Browser]:
    """The page with the first image of the folder; afterwards it must not have complained."""
    browser.events.clear()
    browser.open(address)
    browser.wait("document.querySelector('.panel')")
    choose(browser, 0)
    yield browser
    assert browser.complaints() == []
    assert all(each.startswith((address, "blob:")) for each in browser.requested())


def choose(page: Browser, index: int) -> None:
    page.run("document.querySelectorAll('.probability').forEach(each => each.textContent = '')")
    page.run(f"(e => {{ e.value = {index}; e.dispatchEvent(new Event('change')) }})(document.getElementById('images'))")
    opened(page)


def opened(page: Browser) -> None:
    page.wait("document.querySelector('.probability')?.textContent && document.querySelector('.busy').hidden")
    page.settle()


def saved(page: Browser, folder: Path) -> dict[str, Any]:
    return json.loads(page.download("#save-numbers", folder, "evidence.json").read_text())


def slide(page: Browser, name: str, value: int) -> None:
    page.run(
        f"(e => {{ e.value = {value}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.getElementById('{name}'))"
    )
    page.settle()


def cell(page: Browser, row: int, column: int) -> tuple[float, float]:
    """The middle of a cell on the screen."""
    return page.place(MARKS, (column + 0.5) / CELLS, (row + 0.5) / CELLS)


def erase(page: Browser, *cells: tuple[int, int]) -> None:
    page.key("2")
    slide(page, "brush", 0)
    page.mouse(*(cell(page, *each) for each in cells))


def remaining(pixels: np.ndarray, *erased: tuple[int, int]) -> np.ndarray:
    """Logits of the evidence that is left, worked out in Python."""
    maps = maps_of(pixels)
    for row, column in erased:
        maps[:, row, column] = 0
    return maps.mean((1, 2)) + BIAS


def test_an_uploaded_image_is_explained(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "upload.png"
    path.write_bytes(encoded(picture(9)))
    page.run("document.querySelector('.probability').textContent = ''")
    page.choose_file("#file", path)
    opened(page)
    numbers = saved(page, tmp_path)
    logits = maps_of(picture(9)).mean((1, 2)) + BIAS
    for model in numbers["models"]:
        assert model["logits"] == pytest.approx(list(logits), abs=1e-5)
        assert model["probabilities"] == pytest.approx(list(softmax(logits)), abs=1e-6)
        assert model["shown"] == ("healthy", "early", "late")[logits.argmax()]
    assert "upload" not in json.dumps(numbers)
    assert page.text("#facts") == f"PNG, {SIZE} × {SIZE}, 8 bit"
    shown = page.text(".panel .probability")
    assert float(shown.removesuffix(" %")) == pytest.approx(100 * softmax(logits)[0], abs=0.05)


def test_what_if_is_the_exact_number(page: Browser, tmp_path: Path) -> None:
    erased = [(1, 1), (1, 2), (2, 2)]
    erase(page, *erased)
    expected = remaining(picture(0), *erased)
    for model in saved(page, tmp_path)["models"]:
        assert model["what_if"]["erased"] == "5-6,10-10"
        assert model["what_if"]["logits"] == pytest.approx(list(expected), abs=1e-5)
        assert model["what_if"]["probabilities"] == pytest.approx(list(softmax(expected)), abs=1e-6)
    assert float(page.text(".panel td.whatif").removesuffix(" %")) == pytest.approx(
        100 * softmax(expected)[0], abs=0.05
    )


def test_undo_redo_and_reset(page: Browser, tmp_path: Path) -> None:
    def now() -> str:
        return saved(page, tmp_path)["models"][0]["what_if"]["erased"]

    erase(page, (0, 0))
    erase(page, (3, 3))
    assert now() == "0-0,15-15"
    page.click("#undo")
    assert now() == "0-0"
    page.key("z", CTRL)
    assert now() == ""
    page.key("z", CTRL | SHIFT)
    page.key("y", CTRL)
    assert now() == "0-0,15-15"
    page.key("3")
    page.mouse(cell(page, 0, 0))
    assert now() == "15-15"
    page.click("#reset")
    assert now() == ""
    page.click("#undo")
    assert now() == "15-15"


def test_a_brush_erases_what_it_covers(page: Browser, tmp_path: Path) -> None:
    page.key("2")
    slide(page, "brush", 20)
    page.mouse(page.place(MARKS, 0.5, 0.5))
    assert saved(page, tmp_path)["models"][0]["what_if"]["erased"] == "5-6,9-10"


def test_hovering_shows_what_a_cell_adds(page: Browser) -> None:
    page.run("document.querySelector('input[name=class-0][value=\"1\"]').click()")
    page.run("document.querySelector('input[value=raw]').click()")
    page.settle()
    page.mouse(cell(page, 2, 1), press=False)
    value = maps_of(picture(0))[1, 2, 1] / CELLS**2
    assert page.text(".readout").startswith("Row 3, column 2 adds ")
    assert page.text(".readout").endswith(" to the logit of early")
    assert float(page.text(".readout b").replace("−", "-")) == pytest.approx(value, abs=5e-4)
    second = page.run("document.querySelectorAll('.readout')[1].textContent")
    assert second.startswith("Row 3, column 2 adds ")


def test_verifying_asks_the_model_again_and_shows_both_numbers(page: Browser, tmp_path: Path) -> None:
    erase(page, (1, 1), (1, 2))
    page.click("#verify")
    page.wait("document.querySelectorAll('table.checked').length === 2")
    model = saved(page, tmp_path)["models"][0]
    reference = viewed()
    cells = np.zeros((CELLS, CELLS), bool)
    cells[1, 1:3] = True
    pixels = torch.from_numpy(picture(0)).permute(2, 0, 1) / 255
    (expected,) = reference.explain([reference.without(reference.preprocessing(pixels), cells)])
    assert model["verified"]["logits"] == pytest.approx(expected.logits.tolist(), abs=1e-5)
    assert "With the pixels removed as well, the model says" in page.text(".outcome")
    erase(page, (3, 3))
    assert saved(page, tmp_path)["models"][0]["verified"] is None


def test_the_overlay_has_the_colours_of_the_reports(page: Browser) -> None:
    page.run("document.querySelector('input[name=class-0][value=\"2\"]').click()")
    page.run("document.querySelector('input[value=raw]').click()")
    page.run("document.getElementById('cells').click()")
    page.settle()
    size = page.run("document.querySelector('.evidence').width")
    read = "document.querySelector('.evidence').getContext('2d').getImageData({}, {}, 1, 1).data"
    expected = colour(maps_of(picture(0))[2], 8)
    for row in range(CELLS):
        for column in range(CELLS):
            at = [int((each + 0.5) * size / CELLS) for each in (column, row)]
            seen = list(page.run(f"Array.from({read.format(*at)})"))
            assert np.abs(np.subtract(seen, expected[row, column], dtype=int)).max() <= 3, (row, column)


def test_threshold_opacity_and_window_change_what_is_seen(page: Browser) -> None:
    def opaque() -> int:
        return page.run(
            "(e => e.getContext('2d').getImageData(0, 0, e.width, e.height).data"
            ".filter((v, i) => i % 4 == 3 && v).length)(document.querySelector('.evidence'))"
        )

    def darkest() -> int:
        return page.run(
            "(e => e.getContext('2d').getImageData(0, 0, e.width, e.height).data.reduce((a, b) => Math.min(a, b)))"
            "(document.querySelector('.image'))"
        )

    all_of_it = opaque()
    slide(page, "threshold", 60)
    assert 0 < opaque() < all_of_it
    slide(page, "opacity", 40)
    assert page.run("document.querySelector('.evidence').style.opacity") == "0.4"
    before = darkest()
    slide(page, "level", 0)
    assert darkest() > before
    page.click("#window-reset")
    page.settle()
    assert darkest() == before
    page.key("e")
    assert page.run("document.querySelector('.evidence').hidden")


def test_the_keyboard_alone_is_enough(page: Browser, tmp_path: Path) -> None:
    page.run(f"document.querySelector('{MARKS}').focus()")
    page.key("ArrowRight")
    assert "row 3, column 3" in page.text("#said").lower()
    page.key("ArrowRight")
    page.key(" ")
    assert saved(page, tmp_path)["models"][0]["what_if"]["erased"] == "11-11"
    assert "Without the evidence of 1 cells" in page.text("#said")
    page.run(f"document.querySelector('{MARKS}').focus()")
    page.key(" ")
    assert saved(page, tmp_path)["models"][0]["what_if"]["erased"] == ""
    page.key("]")
    opened(page)
    assert page.run("document.getElementById('images').value") == "1"


def test_everything_that_can_be_used_has_a_name(page: Browser) -> None:
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    used = {"button", "checkbox", "radio", "slider", "combobox", "spinbutton", "application", "radiogroup", "table"}
    found = [each for each in nodes if each.get("role", {}).get("value") in used and not each["ignored"]]
    assert len(found) > 25
    assert [each for each in found if not each.get("name", {}).get("value")] == []


def test_the_picture_that_is_saved_shows_image_and_evidence(page: Browser, tmp_path: Path) -> None:
    erase(page, (0, 0))
    with Image.open(BytesIO(page.download("#save-picture", tmp_path, "evidence.png").read_bytes())) as saved_picture:
        pixels = np.asarray(saved_picture.convert("RGB")).astype(int)
    assert pixels.shape[1] > 1800
    assert (np.ptp(pixels, axis=2) > 40).mean() > 0.05


@pytest.mark.parametrize(("width", "height", "touch"), [(1280, 800, False), (820, 1180, True)])
def test_it_fits_the_screen(page: Browser, width: int, height: int, touch: bool, tmp_path: Path) -> None:
    page.resize(width, height, touch)
    page.settle()
    assert page.run("document.documentElement.scrollWidth") <= width
    box = page.run("(b => [b.top, b.bottom, b.width])(document.querySelector('.stage').getBoundingClientRect())")
    assert box[0] >= 0
    assert box[1] <= height
    assert box[2] >= 250
    assert np.asarray(Image.open(page.screenshot(tmp_path / "screen.png"))).std() > 5


def test_a_finger_paints(page: Browser, tmp_path: Path) -> None:
    page.resize(820, 1180, touch=True)
    page.run("document.querySelector('input[value=erase]').click()")
    slide(page, "brush", 0)
    page.settle()
    page.touch(cell(page, 1, 0), cell(page, 1, 3))
    assert saved(page, tmp_path)["models"][0]["what_if"]["erased"] == "4-7"


def test_what_cannot_be_read_is_said_and_the_page_goes_on(browser: Browser, address: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(encoded(picture())[:100])
    browser.open(address)
    browser.wait("document.querySelector('.panel')")
    browser.choose_file("#file", path)
    browser.wait("!document.getElementById('problem').hidden")
    assert browser.text("#problem") == "The image is damaged or cut short; copy or export it again."
    choose(browser, 0)
    assert browser.run("document.getElementById('problem').hidden")


def test_the_token_comes_behind_the_address_or_from_the_reader(browser: Browser) -> None:
    app = create_app([viewed()], access=Access.at("127.0.0.1", TOKEN), limits=LIMITS)
    with listening(app) as address:
        browser.open(f"{address}/#token={TOKEN}")
        browser.wait("document.querySelector('.panel')")
        assert browser.run("location.href") == f"{address}/"
        browser.run("sessionStorage.clear()")
        browser.open(f"{address}/?again")
        browser.wait("document.getElementById('login').open")
        for token, there in (("wrong-wrong-wrong", False), (TOKEN, True)):
            browser.run(f"document.getElementById('token').value = '{token}'")
            browser.click("#login button")
            browser.wait(f"document.getElementById('login').open === {str(not there).lower()}")
        browser.wait("document.querySelector('.panel')")
        assert not any(TOKEN in each for each in browser.requested())
