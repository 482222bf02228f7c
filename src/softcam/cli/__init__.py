"""The command line: one verb per job, each loaded only when it is called."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from softcam import __version__
from softcam.errors import SoftCAMError, own_sentence

FAILED = 1
MISUSED = 2
INTERRUPTED = 130


class Verb(NamedTuple):
    """A job.

    Attributes:
        target: ``module:name`` of the function that does it, or of a table of such functions.
        summary: What it does.
    """

    target: str
    summary: str


VERBS = {
    "demo": Verb("softcam.cli.demo:demo", "see it all work on generated images, in a few minutes"),
    "prepare": Verb("softcam.cli.prepare:COMMANDS", "make a manifest of a data set"),
    "train": Verb("softcam.cli.train:train", "train a self-explaining network, or its black box"),
    "sweep": Verb("softcam.cli.sweep:sweep", "find how sparse evidence can be without a worse decision"),
    "evaluate": Verb("softcam.cli.evaluate:evaluate", "measure decisions and explanations"),
    "explain": Verb("softcam.cli.explain:explain", "show the evidence in images"),
    "compare": Verb("softcam.cli.compare:compare", "hold explanations against those of other methods"),
    "audit": Verb("softcam.cli.audit:audit", "look for shortcuts in a data set and its model"),
    "report": Verb("softcam.cli.report:report", "make the HTML report of a run"),
    "export": Verb("softcam.cli.export:export", "write a model for another runtime: ONNX, torch.export"),
    "serve": Verb("softcam.cli.serve:serve", "show images and their evidence in a browser"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code: 0 on success, 1 for an error, 2 for arguments that cannot be understood, 130 after
        Ctrl-C. Errors are one sentence on standard error; with ``SOFTCAM_DEBUG=1`` in the environment they
        are raised with their traceback.
    """
    logging.basicConfig(format="softcam: %(message)s")
    try:
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # here, where a closed pipe is dealt with
        return code
    except KeyboardInterrupt:
        return _stop("softcam: interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again on exit
        return FAILED
    except (SoftCAMError, OSError) as error:
        if os.environ.get("SOFTCAM_DEBUG") == "1":
            raise
        return _stop(f"softcam: error: {_sentence(error)}", FAILED)


def _dispatch(argv: list[str]) -> int:
    if argv[:1] == ["--version"]:
        print(f"softcam {__version__}")
        return 0
    summaries = {name: verb.summary for name, verb in VERBS.items()}
    verb = _choose("softcam", "verb", summaries, argv)
    if isinstance(verb, int):
        return verb
    command = _load(VERBS[verb].target)
    prog = f"softcam {verb}"
    if isinstance(command, Mapping):
        sources = {name: _first_line(each) for name, each in command.items()}
        source = _choose(prog, "source", sources, argv[1:])
        if isinstance(source, int):
            return source
        return _call(command[source], argv[2:], f"{prog} {source}")
    return _call(command, argv[1:], prog)


def _call(command: Any, argv: Sequence[str], prog: str) -> int:
    from softcam.cli.arguments import UsageError, run

    try:
        run(command, argv, prog)
    except UsageError as error:
        return _stop(f"{prog}: error: {error} (see {prog} --help)", MISUSED)
    except SystemExit as leaving:  # after --help
        return leaving.code if isinstance(leaving.code, int) else 0
    return 0


def _choose(prog: str, what: str, choices: Mapping[str, str], argv: Sequence[str]) -> str | int:
    """The choice that the first argument names, or the exit code after help or a mistake."""
    if argv and argv[0] in choices:
        return argv[0]
    if argv and argv[0] in ("-h", "--help"):
        print(_overview(prog, what, choices))
        return 0
    if not argv:
        return _stop(_overview(prog, what, choices), MISUSED)
    from softcam.cli.arguments import close_match

    suggestion = close_match(argv[0], choices)
    return _stop(f"{prog}: error: no {what} {argv[0]!r}{suggestion} (one of {', '.join(choices)})", MISUSED)


def _overview(prog: str, what: str, choices: Mapping[str, str]) -> str:
    width = max(map(len, choices))
    lines = [f"  {name.ljust(width)}  {summary}" for name, summary in choices.items()]
    version = "       softcam --version\n" if prog == "softcam" else ""
    return (
        f"usage: {prog} {what.upper()} ...\n{version}\n"
        f"{what}s:\n" + "\n".join(lines) + f"\n\n{prog} {what.upper()} --help explains one, with an example."
    )


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _first_line(command: Any) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0].rstrip(".")


def _stop(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return own_sentence(str(error))
