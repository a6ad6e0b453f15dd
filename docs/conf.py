"""Sphinx: Markdown pages, the API from the docstrings, the furo theme; any warning is an error (``make docs``)."""

from __future__ import annotations

import tomllib
from pathlib import Path

# Before autodoc imports anything: it first tries with typing.TYPE_CHECKING set, under which FastAPI cannot be loaded.
import fastapi  # noqa: F401

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _PROJECT["name"]
author = _PROJECT["authors"][0]["name"]
copyright = author
release = version = _PROJECT["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"tallymark {version}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

apidoc_modules = [
    {
        "path": "../src/tallymark",
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
    }
]
# What a room exports is documented where it is defined, once.
autodoc_default_options = {"members": True, "show-inheritance": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
# "Source" is where a formula comes from: paper, equation, our departures.
napoleon_custom_sections = ["Source"]
napoleon_use_rtype = False
napoleon_use_ivar = True
# A shape such as "b k *space" is no emphasis; the signature shows it.
napoleon_attr_annotations = False
# A class may be imported from its room as well as from its module.
suppress_warnings = ["ref.python"]
