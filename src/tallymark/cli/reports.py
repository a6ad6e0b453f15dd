"""``report``: one page about one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, trained and evaluated.", metavar="RUN...")],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    split: Annotated[str, typer.Option(help="Which evaluation is shown.")] = "test",
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "tallymark report",
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Say that the images were made by a computer.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write one self-contained page: scores, pictures, curves and how to make it again.

    Example: `tallymark report my-study/runs/paper-small-0 my-study/runs/full-small-0 --out report.html`
    """
    from tallymark.report import read_report, write_report

    command = " ".join(["tallymark report", *map(str, runs), f"--split {split}", f"--out {out}"])
    content = read_report(runs, title=title, split=split, synthetic=synthetic, command=command)
    page = write_report(content, out)
    if json:
        print_json({"report": page.resolve()})
    else:
        typer.echo(f"open this page in a browser: {page.resolve()}")
