"""A real browser, driven through the Chrome DevTools protocol over a pair of pipes: no other package is needed."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--mute-audio"),
    *("--force-color-profile=srgb", "--remote-debugging-pipe"),
)
# Chromium reads commands from descriptor 3 and answers on 4; this puts two others there and becomes Chromium
_LAUNCHER = "import os, sys; [os.dup2(int(sys.argv[i]), i + 2) for i in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"
_ABOVE = 10
_PATIENCE = 60.0
_KEYS = {" ": ("Space", 32), "Enter": ("Enter", 13), "Tab": ("Tab", 9), "ArrowRight": ("ArrowRight", 39)}


class Browser:
    """One page in Chromium."""

    def __init__(self, program: str, profile: Path) -> None:
        (reads, self._out), (self._in, writes) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(each, fcntl.F_DUPFD, _ABOVE) for each in (reads, writes)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCHER, *map(str, theirs)),
                *(program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"),
            ],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for each in (reads, writes, *theirs):
            os.close(each)
        self._buffer, self._number, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read(_PATIENCE)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def open(self, address: str, width: int = 1280, height: int = 800, touch: bool = False) -> None:
        self.resize(width, height, touch)
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def resize(self, width: int, height: int, touch: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def run(self, expression: str) -> Any:
        """Evaluate JavaScript, awaiting promises, and return its value."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = _PATIENCE) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"Boolean({expression})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"still not true after {seconds} s: {expression}")

    def settle(self) -> None:
        """Wait until what was asked to be drawn is drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))")

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)}).textContent")).strip()

    def click(self, selector: str) -> None:
        """Click with the mouse on the middle of an element."""
        x, y = self.place(selector, 0.5, 0.5)
        self.mouse((x, y))

    def place(self, selector: str, right: float, down: float) -> tuple[float, float]:
        """Return a place on the screen, in shares of an element, which is scrolled into view."""
        box = self.run(
            f"(e => {{ e.scrollIntoView({{block: 'nearest'}}); const b = e.getBoundingClientRect();"
            f"return [b.x, b.y, b.width, b.height] }})(document.querySelector({json.dumps(selector)}))"
        )
        return box[0] + right * box[2], box[1] + down * box[3]

    def mouse(self, *path: tuple[float, float], press: bool = True) -> None:
        """Move along a path, pressed from its first to its last point."""
        send = "Input.dispatchMouseEvent"
        (x, y) = path[0]
        self.call(send, type="mouseMoved", x=x, y=y)
        if press:
            self.call(send, type="mousePressed", x=x, y=y, button="left", buttons=1, clickCount=1)
        for x, y in path[1:]:
            self.call(send, type="mouseMoved", x=x, y=y, button="left" if press else "none", buttons=int(press))
        if press:
            self.call(send, type="mouseReleased", x=x, y=y, button="left", clickCount=1)
        self.settle()

    def touch(self, *path: tuple[float, float]) -> None:
        """Draw with a finger."""
        send = "Input.dispatchTouchEvent"
        self.call(send, type="touchStart", touchPoints=[{"x": path[0][0], "y": path[0][1]}])
        for x, y in path[1:]:
            self.call(send, type="touchMove", touchPoints=[{"x": x, "y": y}])
        self.call(send, type="touchEnd", touchPoints=[])
        self.settle()

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press a key; modifiers: 2 for Ctrl, 8 for Shift."""
        code, number = _KEYS.get(key, (f"Key{key.upper()}", ord(key.upper()[0])))
        text = {} if modifiers & 2 or len(key) > 1 else {"text": key}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=code,
                windowsVirtualKeyCode=number,
                modifiers=modifiers,
                **(text if kind == "keyDown" else {}),
            )
        self.settle()

    def choose_file(self, selector: str, path: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def download(self, selector: str, folder: Path, name: str) -> Path:
        """Click on what saves a file and return the file."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        (folder / name).unlink(missing_ok=True)
        self.click(selector)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if (folder / name).is_file() and not list(folder.glob("*.crdownload")):
                return folder / name
            time.sleep(0.05)
        raise AssertionError(f"{name} was not saved")

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        self.settle()
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def complaints(self) -> list[str]:
        """Return what the page wrote to the console as an error, and what it threw."""
        self.run("0")
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"]))
            if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"] + event["params"]["entry"].get("url", ""))
        return found

    def requested(self) -> list[str]:
        """Return the addresses of all that the page has asked for."""
        sent = [each for each in self.events if each.get("method") == "Network.requestWillBeSent"]
        return [each["params"]["request"]["url"] for each in sent]

    def close(self) -> None:
        os.close(self._out)
        os.close(self._in)
        self._process.terminate()
        self._process.wait(10)

    def _read(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], seconds)
            chunk = os.read(self._in, 1 << 20) if ready else b""
            assert chunk, "the browser does not answer"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """Start a browser; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed (Debian package chromium)")
    browser = Browser(program, profile)
    try:
        yield browser
    finally:
        browser.close()
