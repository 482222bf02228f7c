"""``softcam serve``."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from softcam.cli.device import choose_device
from softcam.cli.output import show
from softcam.cli.report import name_runs
from softcam.data.images import find_images
from softcam.errors import ConfigError
from softcam.model.checkpoint import load_checkpoint
from softcam.reporting.colours import check_limit

if TYPE_CHECKING:
    from softcam.delivery.viewer.access import Access
    from softcam.delivery.viewer.viewed import ViewedModel

_CONNECTIONS = 512
_HEADER_BYTES = 32 * 1024
_HIGHEST_PORT = 65535


def serve(
    model: Path,
    *,
    second: Path | None = None,
    folder: Path | None = None,
    names: list[str] | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limit: float | None = None,
    device: str | None = None,
    json: bool = False,
) -> None:
    """Show images and their evidence in a browser, and what the decision would be without a part of it.

    The page asks nothing of any other machine, and keeps nothing. Only this machine can reach it, unless --host says
    otherwise; then it asks for a token, which is part of the address that is printed.

    Args:
        model: Folder of a run or of a trained model.
        second: Another one, to be seen beside it.
        folder: Images to choose from. They also set the scale of colours.
        names: What the page calls the models; by default the names of the folders.
        host: Address to listen at, such as 0.0.0.0 for all of this machine.
        port: Port to listen at; 0 takes a free one.
        token: What a browser must know; at an address that other machines can reach, one is made by default.
        limit: Logits at full colour; by default what suits the images of the folder, or the first one that is opened.
        device: Where to compute, such as cpu or cuda:1; by default a GPU where there is one.
        json: Print the address as JSON.

    Example:
        softcam serve runs/chest --folder scans/
        softcam serve runs/chest --second runs/black-box --host 0.0.0.0 --port 8443
    """
    if limit is not None:
        check_limit(limit)
    try:
        import uvicorn

        from softcam.delivery.viewer.access import Access
        from softcam.delivery.viewer.app import Folder, create_app
    except ImportError as error:
        raise ConfigError(f"the viewer needs {error.name}, which is missing; pip install 'softcam[serve]'") from None
    access = Access.at(host, token)
    listening = _listen(host, port)
    images = find_images(folder) if folder is not None else []
    models = _load([model, *([second] if second else [])], names, limit, device, images)
    root = folder if folder is not None and folder.is_dir() else Path(folder or "").parent
    app = create_app(models, Folder.of(images, root), access)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    address = _address(host, listening, access)
    show({"address": address}, f"open {address}  (Ctrl-C ends it)", json)
    sys.stdout.flush()  # it may be read by a program that waits for it
    uvicorn.Server(config).run(sockets=[listening])


def _load(
    paths: Sequence[Path], names: Sequence[str] | None, limit: float | None, device: str | None, images: Sequence[Path]
) -> list[ViewedModel]:
    from softcam.delivery.viewer.viewed import ViewedModel

    where = choose_device(device)
    loaded = [(run.name, load_checkpoint(run.path, device=where)) for run in name_runs(paths, names)]
    models = [ViewedModel.of(name, checkpoint, limit) for name, checkpoint in loaded]
    return [each.scaled_by(images) for each in models]


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _HIGHEST_PORT:
        raise ConfigError(f"--port is {port}; it must be from 0 to {_HIGHEST_PORT}")
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(place[:2], family=family, backlog=_CONNECTIONS)
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host} port {port} ({error.strerror}); choose another --port or --host"
        ) from None


def _address(host: str, listening: socket.socket, access: Access) -> str:
    """Return what to open: the token is behind #, which browsers keep for themselves, so that no log shows it."""
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host
    name = f"[{name}]" if ":" in name else name
    fragment = f"#token={access.token}" if access.token else ""
    return f"http://{name}:{listening.getsockname()[1]}/{fragment}"
