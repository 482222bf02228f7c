"""The viewer as programs see it; for what people see, see test_page.py."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from tests.delivery.viewer.conftest import CELLS, LIMITS, encoded, maps_of, picture, serving, softmax, viewed
from tests.reporting.networks import BIAS, SIZE

from softcam.delivery.viewer.access import Access
from softcam.delivery.viewer.app import Folder, create_app
from softcam.delivery.viewer.limits import Limits
from softcam.delivery.viewer.viewed import ViewedModel

TOKEN = "0123456789abcdef"


def decoded(model: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(model["maps"]), "<f4").reshape(3, CELLS, CELLS)


def test_an_image_is_explained_by_each_model(client: TestClient) -> None:
    pixels = picture(3)
    answer = client.post("/api/explain", content=encoded(pixels)).json()
    expected = maps_of(pixels)
    assert len(answer["models"]) == 2
    for model in answer["models"]:
        assert np.allclose(decoded(model), expected, atol=1e-4)
        logits = expected.mean((1, 2)) + BIAS
        assert np.allclose(model["logits"], logits, atol=1e-4)
        assert np.allclose(model["probabilities"], softmax(logits), atol=1e-5)
        assert model["bias"] == [BIAS] * 3
        assert model["decision"] == [("healthy", "early", "late")[logits.argmax()]]


def test_the_pixels_come_back_as_they_are(client: TestClient) -> None:
    pixels = picture(4, (9, 21))
    image = client.post("/api/explain", content=encoded(pixels)).json()["image"]
    view = image["view"]
    assert (view["height"], view["width"], view["channels"], view["bits"]) == (9, 21, 3, 8)
    assert np.array_equal(np.frombuffer(base64.b64decode(view["pixels"]), np.uint8).reshape(9, 21, 3), pixels)
    assert (image["format"], image["height"], image["width"]) == ("PNG", 9, 21)


def test_deep_pixels_are_little_endian(client: TestClient) -> None:
    pixels = np.arange(SIZE * SIZE, dtype=np.uint16).reshape(SIZE, SIZE) * 200
    view = client.post("/api/explain", content=encoded(pixels)).json()["image"]["view"]
    assert view["bits"] == 16
    assert np.array_equal(np.frombuffer(base64.b64decode(view["pixels"]), "<u2").reshape(SIZE, SIZE), pixels)


def test_verifying_nothing_gives_the_decision_itself(client: TestClient) -> None:
    data = encoded(picture())
    explained = client.post("/api/explain", content=data).json()
    verified = client.post("/api/verify?erased=&erased=", content=data).json()
    for before, after in zip(explained["models"], verified["models"], strict=True):
        assert after["logits"] == pytest.approx(before["logits"], abs=1e-5)


def test_verifying_runs_each_model_without_the_pixels_below_its_own_cells(client: TestClient) -> None:
    data = encoded(picture(1))
    model = viewed()
    pixels = torch.from_numpy(picture(1)).permute(2, 0, 1) / 255
    answer = client.post("/api/verify?erased=0-5&erased=15-15", content=data).json()
    for found, erased in zip(answer["models"], (range(6), [15]), strict=True):
        cells = np.zeros(CELLS**2, bool)
        cells[list(erased)] = True
        (expected,) = model.explain([model.without(model.preprocessing(pixels), cells.reshape(CELLS, CELLS))])
        assert found["logits"] == pytest.approx(expected.logits.tolist(), abs=1e-5)


def test_images_of_the_folder_are_chosen_by_number(client: TestClient) -> None:
    assert client.get("/api/session").json()["folder"] == ["a.png", "below/b.png"]
    for seed in (0, 1):
        uploaded = client.post("/api/explain", content=encoded(picture(seed))).json()
        assert client.post(f"/api/folder/{seed}/explain").json() == uploaded
    verified = client.post("/api/folder/1/verify?erased=3-4&erased=", content=b"").json()
    assert verified == client.post("/api/verify?erased=3-4&erased=", content=encoded(picture(1))).json()


@pytest.mark.parametrize("number", ["2", "-1", "999999999999", "1.5", "a.png", "..%2f..%2fetc%2fpasswd", "%00"])
@pytest.mark.parametrize("question", ["explain", "verify?erased=&erased="])
def test_nothing_else_can_be_chosen(client: TestClient, number: str, question: str) -> None:
    assert client.post(f"/api/folder/{number}/{question}").status_code in (404, 422)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/etc/passwd",
        "/docs",
    ],
)
def test_no_path_reaches_the_file_system(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_file_that_has_gone_is_an_error_in_a_sentence(tmp_path: Any) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture()))
    with serving(create_app([viewed()], Folder.of([path], tmp_path), limits=LIMITS)) as client:
        path.unlink()
        answer = client.post("/api/folder/0/explain")
    assert answer.status_code == 422
    assert answer.json() == {"error": "the image can no longer be read from the folder; start the viewer again"}


def test_a_session_describes_its_models(client: TestClient) -> None:
    first, second = client.get("/api/session").json()["models"]
    assert (first["name"], second["name"]) == ("first", "second")
    assert (first["height"], first["width"], first["task"]) == (CELLS, CELLS, "multiclass")
    assert first["outputs"] == ["healthy", "early", "late"]
    assert (first["limit"], second["limit"]) == (None, 5)


def test_every_answer_carries_the_headers_that_keep_browsers_safe(client: TestClient) -> None:
    for answer in (
        client.get("/"),
        client.get("/nothing"),
        client.get("/api/session", headers={"host": "evil.example"}),
    ):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_page_asks_nothing_of_other_machines_and_holds_no_inline_code(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "://" not in page.text
    assert "<style" not in page.text
    assert "style=" not in page.text
    assert page.text.count("<script") == page.text.count('<script type="module" src="/static/')


def test_other_pages_and_other_names_are_kept_out(client: TestClient) -> None:
    data = encoded(picture())
    for headers, status in (
        ({"origin": "https://evil.example"}, HTTPStatus.FORBIDDEN),
        ({"sec-fetch-site": "cross-site"}, HTTPStatus.FORBIDDEN),
        ({"host": "evil.example"}, HTTPStatus.MISDIRECTED_REQUEST),
    ):
        answer = client.post("/api/explain", content=data, headers=headers)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


def test_with_a_token_data_is_for_those_who_have_it_and_the_page_is_for_all() -> None:
    app = create_app([viewed()], access=Access.at("0.0.0.0", TOKEN), limits=LIMITS)
    with serving(app, address="http://10.0.0.1:8000") as client:
        assert client.get("/").status_code == 200
        assert client.get("/static/viewer.js").status_code == 200
        refused = client.get("/api/session")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get(f"/api/session?token={TOKEN}").status_code == 401
        assert client.post("/api/explain", content=encoded(picture())).status_code == 401
        assert client.get("/api/session", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_uploads_are_stopped_at_their_limit_whether_they_tell_their_size_or_not() -> None:
    limits = replace(LIMITS, upload_bytes=4096)
    with serving(create_app([viewed()], limits=limits)) as client:
        declared = client.post("/api/explain", content=bytes(4097))
        streamed = client.post("/api/explain", content=iter([bytes(4096), b"x"]))
        assert client.post("/api/explain", content=encoded(picture())).status_code == 200
    for answer in (declared, streamed):
        assert answer.status_code == 413
        assert answer.json() == {"error": "the image has more than 0.00390625 MiB; reduce it to read it"}


def test_an_image_of_too_many_pixels_is_refused() -> None:
    with serving(create_app([viewed()], limits=replace(LIMITS, pixels=15))) as client:
        answer = client.post("/api/explain", content=encoded(picture()))
    assert answer.status_code == 422
    assert answer.json() == {"error": "the image has more pixels than can be safe; reduce it to read it."}


@pytest.mark.parametrize("query", ["", "erased=", "erased=&erased=&erased=", "erased=0-99&erased=", "erased=x&erased="])
def test_verifying_asks_for_the_cells_of_each_model(client: TestClient, query: str) -> None:
    answer = client.post(f"/api/verify?{query}", content=encoded(picture()))
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]


class Slow(ViewedModel):
    """Takes its time."""

    def explain(self, *arguments: Any) -> Any:
        time.sleep(0.5)
        return super().explain(*arguments)


class Broken(ViewedModel):
    """Fails."""

    def explain(self, *arguments: Any) -> Any:
        raise RuntimeError("a secret of the inside")


def test_a_request_has_its_time_and_no_more() -> None:
    with serving(create_app([Slow(**vars(viewed()))], limits=replace(LIMITS, request_seconds=0.2))) as client:
        answer = client.post("/api/explain", content=encoded(picture()))
    assert answer.status_code == 408
    assert answer.json() == {"error": "this took too long; try again, or reduce the image"}


def test_a_failure_shows_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    with serving(create_app([Broken(**vars(viewed()))], limits=LIMITS)) as client:
        answer = client.post("/api/explain", content=encoded(picture()))
        assert client.get("/api/session").status_code == 200
    assert answer.status_code == 500
    assert answer.json() == {"error": "the viewer failed; its log says why"}
    assert "a secret of the inside" in caplog.text


def test_evidence_that_is_no_number_is_an_error() -> None:
    model = viewed()
    with torch.no_grad():
        model.model.evidence[0].classes.weight.fill_(torch.nan)
    with serving(create_app([model], limits=LIMITS)) as client:
        answer = client.post("/api/explain", content=encoded(picture()))
    assert answer.status_code == 422
    assert answer.json() == {"error": "first gives evidence that is not finite; check the weights of the model"}


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, requests=2), replace(LIMITS, upload_bytes_together=3000)], ids=["requests", "bytes"]
)
def test_who_comes_when_there_are_too_many_is_asked_to_come_again(limits: Limits) -> None:
    data = encoded(picture())
    assert 1000 > len(data) > 500
    with serving(create_app([Slow(**vars(viewed()))], limits=limits)) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.post("/api/explain", content=data), range(8)))
        assert client.post("/api/explain", content=data).status_code == 200
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["error"].endswith("at once; try again in a moment")


def test_many_at_once_get_each_its_own_answer(client: TestClient) -> None:
    images = [encoded(picture(seed)) for seed in range(24)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda data: client.post("/api/explain", content=data).json(), images))
    for seed, answer in enumerate(answers):
        assert np.allclose(decoded(answer["models"][0]), maps_of(picture(seed)), atol=1e-4)


def test_nothing_of_an_upload_is_held_or_logged(caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(0)
    with serving(create_app([viewed()], limits=LIMITS)) as client:
        headers = {"content-disposition": 'attachment; filename="Doe^John.png"'}
        client.post("/api/explain", content=encoded(picture()), headers=headers)
        client.post("/api/explain", content=b"broken", headers=headers)
    printed = capfd.readouterr()
    assert "Doe" not in caplog.text + printed.out + printed.err
