"""Writes docs/cli.md from the command line itself: ``python tools/cli_reference.py --write``; without it, compares."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from tallymark.errors import TallymarkError

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
_HEAD = """# Command line

<!-- Written by tools/cli_reference.py (make docs); changes belong into the verbs themselves. -->
"""


def verbs(app: typer.Typer, program: str) -> Iterator[tuple[str, Any]]:
    """Every verb as it is typed, and its command; groups are entered, hidden verbs left out."""
    yield from _walk(typer.main.get_command(app), program)


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    if getattr(command, "hidden", False):
        return
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child in children:
        yield from _walk(children[child], f"{name} {child}")


def reference(app: typer.Typer, program: str) -> str:
    """The whole page as Markdown."""
    parts = [_HEAD]
    for name, command in verbs(app, program):
        arguments = [item for item in command.params if item.param_type_name == "argument"]
        options = [item for item in command.params if item.param_type_name == "option" and not item.hidden]
        usage = " ".join([name, *map(_placeholder, arguments), *(["[OPTIONS]"] if options else [])])
        parts += [f"## {name}\n", f"```\n{usage}\n```\n", inspect.cleandoc(command.help or "") + "\n"]
        if arguments:
            parts += [_table("argument", [(_placeholder(item), item) for item in arguments])]
        if options:
            parts += [_table("option", [(", ".join([*item.opts, *item.secondary_opts]), item) for item in options])]
    return "\n".join([*parts, exit_codes()]).rstrip() + "\n"


def exit_codes() -> str:
    """The table of exit codes, from the error tree."""
    errors: list[type[TallymarkError]] = [TallymarkError, *TallymarkError.__subclasses__()]
    rows = [f"| {error.exit_code} | {(error.__doc__ or '').splitlines()[0]} |" for error in errors]
    head = ["## Exit codes\n", "| code | meaning |", "|---|---|", "| 0 | Done. |"]
    stopped = "| 130 | Stopped from the keyboard; a line on standard error says how to go on. |"
    return "\n".join([*head, *rows, stopped])


def _placeholder(argument: Any) -> str:
    word = argument.metavar or argument.name.upper()
    return word if argument.required else f"[{word}]"


def _table(kind: str, rows: list[tuple[str, Any]]) -> str:
    lines = [f"| {kind} | meaning | default |", "|---|---|---|"]
    lines += [f"| `{label}` | {_cell(item.help or '')} | {_cell(_default(item))} |" for label, item in rows]
    return "\n".join(lines) + "\n"


def _default(item: Any) -> str:
    if item.required:
        return "required"
    value = item.default
    if value is None or value is False or value == () or value == [] or callable(value):
        return ""
    return f"`{value}`"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def main() -> int:
    from tallymark.cli.app import app

    text = reference(app, "tallymark")
    if "--write" in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        print("docs/cli.md is not what the command line says now; to mend it: python tools/cli_reference.py --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
