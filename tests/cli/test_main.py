from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import softcam
import softcam.cli
from softcam.cli import VERBS, Verb, main
from softcam.errors import DataError

Raise = Callable[[BaseException], None]


def python(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Make ``softcam demo`` fail in the way that is passed."""

    def set_up(error: BaseException) -> None:
        def fail() -> None:
            raise error

        monkeypatch.setattr(softcam.cli, "_load", lambda target: fail)

    return set_up


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"softcam {softcam.__version__}\n"
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb.ljust(8)}  {VERBS[verb].summary}\n" in printed for verb in VERBS)


def test_mistakes_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: softcam VERB ...\n")
    assert main(["trian", "x"]) == 2
    assert capsys.readouterr().err == (
        f"softcam: error: no verb 'trian'; did you mean train? (one of {', '.join(VERBS)})\n"
    )
    assert main(["prepare", "kermany"]) == 2
    assert capsys.readouterr().err == (
        "softcam prepare kermany: error: missing ROOT (see softcam prepare kermany --help)\n"
    )


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DataError("a.png is broken; replace it."), 1, "softcam: error: a.png is broken; replace it.\n"),
        (
            DataError(
                "Caught DataError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
                '  File "x.py", line 1\nsoftcam.errors.DataError: a.png: broken; replace it.\n'
            ),
            1,
            "softcam: error: a.png: broken; replace it.\n",
        ),
        (OSError(28, "No space left on device"), 1, "softcam: error: No space left on device\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "softcam: error: /x: Permission denied\n"),
        (KeyboardInterrupt(), 130, "softcam: interrupted\n"),
    ],
)
def test_errors_are_one_sentence(
    failing: Raise, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    failing(error)
    assert main(["demo"]) == code
    assert capsys.readouterr().err == message


def test_debugging_shows_the_traceback(failing: Raise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTCAM_DEBUG", "1")
    failing(DataError("broken"))
    with pytest.raises(DataError, match="broken"):
        main(["demo"])


def test_a_mistake_in_the_code_is_not_hidden(failing: Raise) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["demo"])


def test_every_verb_has_a_target_that_can_be_loaded() -> None:
    for verb in VERBS.values():
        assert isinstance(verb, Verb)
        assert softcam.cli._load(verb.target)


def test_the_command_line_starts_without_torch() -> None:
    code = (
        "import sys; from softcam.cli import main; main(['--help']); main(['prepare', '--help']);"
        "print([name for name in ('torch', 'jsonargparse', 'pandas') if name in sys.modules])"
    )
    done = python("-c", code)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "[]"


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    done = python("-m", "softcam", "prepare", "folder", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"softcam: error: Folder {tmp_path / 'none'} does not exist; check the path.\n"


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 1), (["prepare", "csv", "--help"], 0)])
def test_a_closed_pipe_is_no_traceback(argv: list[str], code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "softcam", *argv], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (code, "")
