"""From what people type to what jsonargparse reads.

The typed signature and the docstring of a function are its interface. jsonargparse makes the parser; here the
command line is first brought to the spelling that it expects, so that one can type what is customary:

- ``--flag`` and ``--no-flag`` for ``--flag=true`` and ``--flag=false``;
- ``--some-name`` for ``--some_name``;
- ``--name`` for ``--group.name`` where only one group has that name;
- ``--list a,b`` for ``--list='["a", "b"]'``, and several last positional arguments for one list;
- ``--class`` for a parameter ``class_``, whose name is a keyword of Python without the underscore;
- the value of an enumeration in place of its member's name, also in YAML.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import json
import keyword
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, ClassVar

from docstring_parser import parse
from docstring_parser.common import DocstringExample
from jsonargparse import DefaultHelpFormatter, auto_cli
from jsonargparse.typing import register_type

Command = Callable[..., Any]

_HANDLED_BY_PARSER = frozenset({"help", "config", "print_config"})
_SEQUENCES = (list, tuple, Sequence)
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_SPELLING = """\
--flag and --no-flag say true and false, lists are written a,b, and the name of a group (the part before the
dot) can be left out where only one group has the option."""


class UsageError(Exception):
    """The command line cannot be understood."""


def run(command: Command, argv: Sequence[str], prog: str) -> Any:
    """Call a function with arguments from the command line.

    Args:
        command: The function; required parameters become positional arguments, the others flags.
        argv: The arguments.
        prog: How the command is called, for help and messages.

    Returns:
        What the function returns.

    Raises:
        UsageError: If the arguments do not fit the function.
        SystemExit: After printing help.
    """
    interface = _Interface(command)
    documentation = parse(inspect.getdoc(command) or "")
    try:
        return auto_cli(
            command,
            args=interface.translate(argv),
            prog=prog,
            description=(documentation.description or "").replace("``", ""),
            epilog=_epilog(documentation.examples),
            formatter_class=type("HelpFormatter", (_HelpFormatter,), {"placeholders": interface.placeholders()}),
            exit_on_error=False,
        )
    except argparse.ArgumentError as error:
        raise UsageError(interface.explain(str(error))) from None


def close_match(word: str, words: Iterable[str]) -> str:
    """Suggest what may have been meant, as the end of a sentence; empty where nothing comes near."""
    matches = difflib.get_close_matches(word, list(words), 1)
    return f"; did you mean {matches[0]}?" if matches else ""


class _HelpFormatter(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the paragraphs of docstrings and the lines of examples, and shows values as one writes them."""

    placeholders: ClassVar[dict[str, str]] = {}

    def _metavar_formatter(self, action: argparse.Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        placeholder = self.placeholders.get(action.dest)
        if placeholder is None:
            return super()._metavar_formatter(action, default_metavar)
        return lambda size: (placeholder,) * size

    def format_help(self) -> str:
        """Show the option of a parameter such as ``class_`` as one writes it."""
        return re.sub(r"(--\w+?)_(?=[\s=\]])", r"\1", super().format_help())


def _epilog(examples: Sequence[DocstringExample]) -> str:
    lines = [f"  {line}" for example in examples for line in (example.description or "").splitlines()]
    return "\n".join(["Example:", *lines, "", _SPELLING] if lines else [_SPELLING])


class _Interface:
    """The options of a function by name: those of its dataclass parameters as ``group.name``."""

    def __init__(self, command: Command) -> None:
        hints = typing.get_type_hints(command)
        parameters = inspect.signature(command).parameters.values()
        self.types = dict(_flatten("", {each.name: hints[each.name] for each in parameters}))
        self.positionals = [
            each.name
            for each in parameters
            if each.default is each.empty and not dataclasses.is_dataclass(hints[each.name])
        ]
        for kind in (kind for hint in self.types.values() for kind in _kinds(hint)):
            if _is_enum(kind):
                _register_values(kind)

    def translate(self, argv: Sequence[str]) -> list[str]:
        """Bring the arguments to jsonargparse's spelling."""
        flags: list[str] = []
        values: list[str] = []
        words = list(argv)
        while words:
            word = words.pop(0)
            if word == "--":
                values += words
                break
            if not word.startswith("--"):
                (flags if word == "-h" else values).append(word)
                continue
            flags += self._flag(word, words)
        if any(flag in ("-h", "--help") for flag in flags):
            return ["--help"]
        return [*flags, *self._positional(values)]

    def placeholders(self) -> dict[str, str]:
        """What the help shows in place of a value: the choices of an enumeration, the name of a positional."""
        shown = {}
        for name, hint in self.types.items():
            enumerations = [kind for kind in _kinds(hint) if _is_enum(kind)]
            if enumerations:
                shown[name] = "{" + ",".join(str(member.value) for member in enumerations[0]) + "}"
            elif name in self.positionals:
                shown[name] = name.upper() + (" ..." if _is_sequence(hint) else "")
        return shown

    def explain(self, message: str) -> str:
        """Say in one sentence what jsonargparse says in several lines."""
        key = re.search(r'Parser key "([^"]+)"', message)
        value = re.search(r"(?:Got|Given) value: (.*)|Not of type \w+: '?(.*?)'?$", message, re.MULTILINE)
        if key and value and key[1] in self.types:
            return f"{self._spelled(key[1])}: {(value[1] or value[2]).strip()!r} is not {_describe(self.types[key[1]])}"
        if missing := re.search(r'arguments are required: (.*)|Key "([^"]+)" is required', message):
            return "missing " + ", ".join(map(self._spelled, (missing[1] or missing[2]).split(", ")))
        return " ".join(re.sub(r'Parser key "([^"]+)"', r"--\1", message).split())

    def _spelled(self, name: str) -> str:
        return name.upper() if name in self.positionals else f"--{name.rstrip('_')}"

    def _flag(self, word: str, rest: list[str]) -> list[str]:
        """Translate one flag; takes its value off the rest where it follows as a word of its own."""
        name, given, value = word[2:].partition("=")
        key = name.replace("-", "_")
        if key in _HANDLED_BY_PARSER or key.endswith("+"):
            return [word] if given or key in ("help", "print_config") else [word, *self._value(word, rest)]
        key, negated = self._resolve(key, word)
        hint = self.types.get(key, str)
        if _kinds(hint) == [bool]:
            if not given:
                value = rest.pop(0) if rest and rest[0].lower() in ("true", "false") else "true"
            return [f"--{key}={'false' if negated else value.lower()}"]
        if not given:
            (value,) = self._value(word, rest)
        return [f"--{key}={_spell(hint, value)}"]

    def _value(self, word: str, rest: list[str]) -> list[str]:
        if not rest or rest[0].startswith("--"):
            raise UsageError(f"{word} needs a value")
        return [rest.pop(0)]

    def _resolve(self, key: str, word: str) -> tuple[str, bool]:
        """Full name of an option, and whether it is negated."""
        full, negated = self._full_names(key), False
        if not full and key.startswith("no_"):
            full = [name for name in self._full_names(key.removeprefix("no_")) if self.types.get(name) is bool]
            negated = True
        if len(full) > 1:
            raise UsageError(f"{word} may mean {' or '.join(f'--{name}' for name in full)}; write one of them")
        if not full:
            short = {name.rpartition(".")[2] for name in self.types}
            known = [f"--{name.rstrip('_')}" for name in sorted(short.union(self.types))]
            raise UsageError(f"there is no option {word}{close_match(f'--{key}', known)}")
        return full[0], negated

    def _full_names(self, key: str) -> list[str]:
        key = f"{key}_" if keyword.iskeyword(key) else key
        if key in self.types or any(key.startswith(f"{name}.") for name in self.types):
            return [key]
        return [name for name in self.types if name.endswith(f".{key}")]

    def _positional(self, values: list[str]) -> list[str]:
        names = self.positionals
        if names and _is_sequence(self.types[names[-1]]) and len(values) >= len(names):
            head, tail = values[: len(names) - 1], values[len(names) - 1 :]
            return [*head, json.dumps(tail)]
        if len(values) > len(names):
            raise UsageError(f"unexpected argument {values[len(names)]!r}")
        return values


def _flatten(prefix: str, hints: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and types of options, with those of dataclasses below the name of the dataclass."""
    for name, hint in hints.items():
        yield prefix + name, hint
        for kind in filter(dataclasses.is_dataclass, _kinds(hint)):
            nested = typing.get_type_hints(kind)
            fields = [field.name for field in dataclasses.fields(kind) if field.init]
            yield from _flatten(f"{prefix}{name}.", {field: nested[field] for field in fields})


def _kinds(hint: Any) -> list[Any]:
    """The types of a union, None left out; of any other hint the hint itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [kind for kind in typing.get_args(hint) if kind is not type(None)]
    return [hint]


def _is_sequence(kind: Any) -> bool:
    return typing.get_origin(kind) in _SEQUENCES


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _register_values(kind: type[Enum]) -> None:
    """Have jsonargparse read an enumeration by its values, in flags and YAML, and not by its names alone."""
    members = {member.name: member for member in kind} | {str(member.value): member for member in kind}
    register_type(
        kind,
        serializer=lambda member: str(member.value),
        deserializer=members.__getitem__,
        deserializer_exceptions=KeyError,
        fail_already_registered=False,
    )


def _spell(hint: Any, value: str) -> str:
    """Write a value as jsonargparse reads it."""
    kinds = _kinds(hint)
    sequence = next(filter(_is_sequence, kinds), None)
    if sequence is None or value.startswith("[") or value == "null":
        return value
    names = typing.get_args(sequence)[:1] == (str,) and str not in kinds
    if len(kinds) > 1 and "," not in value and not (names and not value.isdecimal()):
        return value
    elements = [element.strip() for element in value.split(",")] if value else []
    if typing.get_args(sequence)[:1] in ((int,), (float,)):
        return f"[{', '.join(elements)}]"
    return json.dumps(elements)


def _describe(hint: Any) -> str:
    return " or ".join(map(_describe_kind, _kinds(hint)))


def _describe_kind(kind: Any) -> str:
    if _is_enum(kind):
        return "one of " + ", ".join(str(member.value) for member in kind)
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    if _is_sequence(kind):
        elements = typing.get_args(kind)
        count = "" if len(elements) < 2 or ... in elements else f"{len(elements)} "
        return f"{count}values separated by commas"
    return _WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")
