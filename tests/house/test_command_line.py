"""Every verb answers at once, has help with an example that works, and stands in the reference."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest

import cli_reference
from tallymark.cli.app import app

VERBS = dict(cli_reference.verbs(app, "tallymark"))


def test_the_promised_verbs_are_there() -> None:
    promised = {"demo", "doctor", "import images", "import busi", "weaken", "train", "predict", "evaluate", "report"}
    assert {f"tallymark {verb}" for verb in promised} <= set(VERBS)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["import", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"torch", "numpy", "pandas", "matplotlib", "skimage", "lightning"}
    script = (
        "import sys\n"
        "from tallymark.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('loaded:', sorted({heavy} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help_with_an_example_that_parses(name: str) -> None:
    command = VERBS[name]
    assert command.help
    examples = re.findall(r"Example: `([^`]+)`", command.help)
    assert examples, f"{name}: its docstring has no line like: Example: `{name} ...`"
    for example in examples:
        words = shlex.split(example)
        assert example.startswith(name), f"the example of {name} is of another verb: {example}"
        # Parses options and arguments without running the verb.
        command.make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("name", VERBS)
def test_every_parameter_is_explained(name: str) -> None:
    unexplained = [item.name for item in VERBS[name].params if not item.help and not _is_help(item)]
    assert unexplained == []


@pytest.mark.parametrize("name", sorted(set(VERBS) - {"tallymark mark"}))
def test_every_verb_speaks_to_machines(name: str) -> None:
    assert any("--json" in item.opts for item in VERBS[name].params)


def test_the_reference_is_up_to_date() -> None:
    written = cli_reference.TARGET.read_text(encoding="utf-8")
    remedy = "docs/cli.md is out of date: python tools/cli_reference.py --write"
    assert written == cli_reference.reference(app, "tallymark"), remedy


def _is_help(item: Any) -> bool:
    return "--help" in item.opts
