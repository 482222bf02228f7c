from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from softcam.cli.arguments import UsageError, close_match, run


class Head(StrEnum):
    GAP = "gap"
    SOFTCAM = "softcam"


@dataclass(frozen=True)
class Optim:
    """How to learn.

    Attributes:
        lr: The rate.
        epochs: How long.
        nesterov: Look ahead.
    """

    lr: float = 0.1
    epochs: int = 3
    nesterov: bool = True


@dataclass(frozen=True)
class Run:
    """Where to.

    Attributes:
        out: Folder.
        epochs: How long.
    """

    out: Path = Path("run")
    epochs: int = 1


OPTIM, RUN = Optim(), Run()


def learn(
    model: Path,
    images: list[Path],
    *,
    head: Head | None = None,
    classes: tuple[str, ...] | None = None,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    size: int | tuple[int, int] = 224,
    name: str | None = None,
    optim: Optim = OPTIM,
    run: Run = RUN,
    strict: bool = False,
) -> dict[str, Any]:
    """Learn from images.

    It takes ``a while``.

    Args:
        model: The network.
        images: What to look at.
        head: How the network ends.
        classes: Names.
        fractions: Shares.
        size: Height and width.
        name: What to call it.
        optim: How to learn.
        run: Where to.
        strict: Stop at the first broken image.

    Returns:
        What it was called with.

    Example:
        softcam learn net a.png b.png --head gap \\
            --classes a,b
    """
    return locals()


def call(*argv: str) -> dict[str, Any]:
    return run(learn, ["net", "a.png", *argv], "softcam learn")


def test_what_is_not_given_has_its_default() -> None:
    assert call() == {
        "model": Path("net"),
        "images": [Path("a.png")],
        "head": None,
        "classes": None,
        "fractions": (0.7, 0.1, 0.2),
        "size": 224,
        "name": None,
        "optim": OPTIM,
        "run": RUN,
        "strict": False,
    }


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["b,c.png", "d.png"], "images", [Path("a.png"), Path("b,c.png"), Path("d.png")]),
        (["--", "--odd.png"], "images", [Path("a.png"), Path("--odd.png")]),
        (["--head", "gap"], "head", Head.GAP),
        (["--head=SOFTCAM"], "head", Head.SOFTCAM),
        (["--classes", "No Finding,007"], "classes", ("No Finding", "007")),
        (["--classes", "one"], "classes", ("one",)),
        (["--classes", '["a, b", "c"]'], "classes", ("a, b", "c")),
        (["--classes", "null"], "classes", None),
        (["--fractions", ".5, .25, .25"], "fractions", (0.5, 0.25, 0.25)),
        (["--fractions", "1,0,0"], "fractions", (1.0, 0.0, 0.0)),
        (["--size", "64"], "size", 64),
        (["--size", "64,96"], "size", (64, 96)),
        (["--name", "007"], "name", "007"),
        (["--name", "a=b"], "name", "a=b"),
        (["--strict"], "strict", True),
        (["--strict", "--no-strict"], "strict", False),
        (["--strict", "false"], "strict", False),
        (["--strict=True"], "strict", True),
        (["--optim.lr", "1e-3"], "optim", Optim(lr=1e-3)),
        (["--lr", "-1", "--no-nesterov"], "optim", Optim(lr=-1, nesterov=False)),
        (["--run.epochs", "9", "--out", "x"], "run", Run(Path("x"), 9)),
    ],
)
def test_the_customary_spelling_is_understood(argv: list[str], name: str, value: object) -> None:
    assert call(*argv)[name] == value


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--strcit"], "there is no option --strcit; did you mean --strict?"),
        (["--no-colour"], "there is no option --no-colour"),
        (["--no-size"], "there is no option --no-size; did you mean --size?"),
        (["--head"], "--head needs a value"),
        (["--head", "--strict"], "--head needs a value"),
        (["--head", "cam"], "--head: 'cam' is not one of gap, softcam"),
        (["--lr", "fast"], "--optim.lr: 'fast' is not a number"),
        (["--epochs", "3"], "--epochs may mean --optim.epochs or --run.epochs; write one of them"),
        (["--run.epochs", "1.5"], "--run.epochs: '1.5' is not a whole number"),
        (["--strict=perhaps"], "--strict: 'perhaps' is not true or false"),
        (["--fractions", "1,2"], "--fractions: '[1, 2]' is not 3 values separated by commas"),
        (["--size", "x"], "--size: 'x' is not a whole number or 2 values separated by commas"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(*argv)
    assert str(caught.value) == message


def test_what_is_required_is_said() -> None:
    def single(path: Path) -> None:
        """Take one."""

    with pytest.raises(UsageError, match=r"^missing PATH$"):
        run(single, [], "softcam single")


def test_too_many_arguments() -> None:
    def single(path: Path) -> None:
        """Take one."""

    with pytest.raises(UsageError, match=r"^unexpected argument 'b'$"):
        run(single, ["a", "b"], "softcam single")


def test_a_configuration_file_says_the_same(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("head: gap\nclasses: [a, b]\noptim:\n  lr: 0.5\n  epochs: 7\n")
    called = call("--config", str(config), "--lr", "2")
    assert (called["head"], called["classes"], called["optim"]) == (Head.GAP, ("a", "b"), Optim(2, 7))
    config.write_text("head: cam\n")
    with pytest.raises(UsageError, match=r"^--head: 'cam' is not one of gap, softcam$"):
        call("--config", str(config))
    config.write_text("optim:\n  speed: 1\n")
    with pytest.raises(UsageError, match="speed"):
        call("--config", str(config))
    with pytest.raises(UsageError, match=r"^--config: File does not exist: .*none\.yaml"):
        call("--config", str(tmp_path / "none.yaml"))


def test_a_printed_configuration_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("--head", "softcam", "--lr", "3", "--print_config")
    config = tmp_path / "c.yaml"
    config.write_text(capsys.readouterr().out)
    called = call("--config", str(config))
    assert (called["head"], called["optim"].lr) == (Head.SOFTCAM, 3)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["net", "--strict", "--help"]])
def test_help_has_the_docstring_and_the_example(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        run(learn, argv, "softcam learn")
    assert leaving.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: softcam learn ")
    assert "Learn from images.\n\nIt takes a while.\n" in printed
    assert "Stop at the first broken image." in printed
    assert "Example:\n  softcam learn net a.png b.png --head gap \\\n  --classes a,b\n" in printed


def test_close_match() -> None:
    assert close_match("trian", ["train", "report"]) == "; did you mean train?"
    assert close_match("xyz", ["train", "report"]) == ""


def test_help_shows_values_as_one_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("--help")
    text = capsys.readouterr().out
    assert "--head {gap,softcam}" in text
    assert "MODEL IMAGES ..." in " ".join(text.split())
