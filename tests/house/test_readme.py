"""What the README tells people to type exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex

import pytest

import cli_reference
from tallymark.cli.app import app
from tracked import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
VERBS = dict(cli_reference.verbs(app, "tallymark"))


def _commands() -> list[str]:
    lines = [
        line.split("#")[0].strip() for kind, text in BLOCKS if kind in ("sh", "bash") for line in text.splitlines()
    ]
    inline = re.findall(r"`((?:tallymark|make) [^`]+)`", README)
    return [*filter(None, lines), *inline]


def test_make_demo_and_make_test_are_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(_commands())


def test_every_make_command_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    asked = {command.split()[1] for command in _commands() if command.startswith("make ")}
    assert asked <= targets


@pytest.mark.parametrize("command", [command for command in _commands() if command.startswith("tallymark ")])
def test_every_tallymark_command_parses(command: str) -> None:
    (name,) = [verb for verb in VERBS if f"{command} ".startswith(f"{verb} ")]
    words = shlex.split(command)[len(name.split()) :]
    if not words and any(item.required for item in VERBS[name].params):
        return  # the verb is only named
    VERBS[name].make_context(name, words)


def test_every_name_imported_in_an_example_exists() -> None:
    checked = 0
    for kind, text in BLOCKS:
        if kind != "python":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"README: {node.module} has no {alias.name}"
                    checked += 1
    assert checked


def test_every_file_that_it_links_to_exists() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#\s]+)", README)
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
