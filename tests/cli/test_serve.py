from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.delivery.viewer.conftest import encoded, picture
from tests.reporting.networks import card
from tests.training.conftest import tiny_network

from softcam.cli import main
from softcam.model.checkpoint import Head, save_checkpoint


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("softcam.model.checkpoint.build_backbone", lambda name, **_: tiny_network(3))
    described = card(head=Head.GAP)
    save_checkpoint(tiny_network(3), type(described)(**{**vars(described), "backbone": "tiny"}), tmp_path / "chest")
    return tmp_path / "chest"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be served, and where, in place of serving it."""
    calls: list[Any] = []

    def run(self: Any, sockets: list[socket.socket]) -> None:
        calls.append((self.config, sockets[0].getsockname()))
        sockets[0].close()

    monkeypatch.setattr("uvicorn.Server.run", run)
    return calls


def test_it_serves_the_model_and_the_folder_on_this_machine_alone(
    model: Path, served: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "a.png").write_bytes(encoded(picture()))
    assert main(["serve", str(model), "--folder", str(images), "--second", str(model), "--port", "0"]) == 0
    ((config, place),) = served
    assert place[0] == "127.0.0.1"
    assert capsys.readouterr().out == f"open http://127.0.0.1:{place[1]}/  (Ctrl-C ends it)\n"
    assert not config.access_log
    session = TestClient(config.app, base_url="http://127.0.0.1").get("/api/session").json()
    assert session["folder"] == ["a.png"]
    assert [each["name"] for each in session["models"]] == ["chest", "chest"]
    assert all(each["limit"] >= 1 for each in session["models"])


def test_elsewhere_the_address_carries_a_token(
    model: Path, served: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["serve", str(model), "--host", "0.0.0.0", "--port", "0", "--limit", "6", "--names", "A", "--json"]
    assert main(words) == 0
    ((config, _),) = served
    address, _, token = json.loads(capsys.readouterr().out)["address"].partition("#token=")
    assert address.startswith(f"http://{socket.gethostname()}:")
    client = TestClient(config.app, base_url="http://10.0.0.1")
    assert client.get("/api/session").status_code == 401
    session = client.get("/api/session", headers={"Authorization": f"Bearer {token}"}).json()
    assert [(each["name"], each["limit"]) for each in session["models"]] == [("A", 6)]


def test_a_token_of_ones_own(model: Path, served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(model), "--port", "0", "--token", "my-own-long-token"]) == 0
    assert "/#token=my-own-long-token" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--token", "short"], "the token needs at least 16 printable ASCII characters; choose another"),
        (["--host", "no.such.host.invalid"], "--host is no.such.host.invalid, which is no address of this machine; "),
        (["--port", "70000"], "--port is 70000; it must be from 0 to 65535"),
        (["--limit", "0"], "limit is 0.0; it must be a number of logits above 0"),
        (["--folder", "nowhere"], "nowhere does not exist; check the path."),
    ],
)
def test_mistakes_are_one_sentence(
    model: Path, served: list[Any], capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["serve", str(model), "--port", "0", *words]) == 1
    assert capsys.readouterr().err.startswith(f"softcam: error: {sentence}")
    assert served == []


def test_a_port_in_use_is_said(model: Path, served: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(model), "--port", str(port)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"softcam: error: cannot listen at 127.0.0.1 port {port} (")
    assert printed.endswith("; choose another --port or --host\n")


def test_a_missing_package_is_named_with_its_extra(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["serve", str(model)]) == 1
    printed = capsys.readouterr().err
    assert printed == "softcam: error: the viewer needs uvicorn, which is missing; pip install 'softcam[serve]'\n"
