"""How the command line speaks: tables for people, JSON for machines, one line for an error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallymark.errors import TallymarkError

if TYPE_CHECKING:
    from rich.console import Console

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output instead.")]


def progress_console() -> Console:
    """Progress goes to standard error, so that standard output holds the result alone."""
    from rich.console import Console

    return Console(stderr=True)


def track(what: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A bar on standard error around anything that takes more than a moment; nothing where that is no terminal."""

    def tracked(items: Iterable[Any]) -> Iterable[Any]:
        from rich.progress import track as bar

        console = progress_console()
        return bar(items, what, console=console, transient=True, disable=not console.is_terminal)

    return tracked


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output; what is undefined (NaN) is null."""
    typer.echo(json.dumps(_plain(document), indent=2))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # Not the table's own title: that is wrapped to the width of a narrow table.
    console.print(title, style="bold", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(shown(value) for value in row))
    console.print(table)


def shown(value: object) -> str:
    """A value as a person reads it: three decimals, a dash for what is undefined.

    Example:
        >>> shown(0.66667), shown(None), shown(3), shown("lesion")
        ('0.667', '-', '3', 'lesion')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_error(error: TallymarkError, *, as_json: bool) -> None:
    """One line on standard error; with ``--json`` a document on standard output as well."""
    if as_json:
        parts = {"what": error.what, "where": error.where, "found": error.found, "expected": error.expected}
        kind = type(error).__name__
        print_json({"error": {"kind": kind, "exit_code": error.exit_code, **parts, "remedy": error.remedy}})
    print(f"error: {error}", file=sys.stderr)


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, also when it failed before its options were read."""
    return "--json" in words


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
