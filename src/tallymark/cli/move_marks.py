"""``move-marks``: the marks of a study on a database server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json


def move_marks(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    url: Annotated[str, typer.Argument(help="Where to, as SQLAlchemy writes it, without a password.", metavar="URL")],
    json: JsonOption = False,
) -> None:
    """Bring the marks of a study to a database; `study.toml` names it from then on, also for accounts.

    The password comes from the environment variable TALLYMARK_DATABASE_PASSWORD, or from where the driver looks for it.
    The file of marks stays in the study folder as `marks-moved.sqlite`.

    Example: `tallymark move-marks my-study postgresql+psycopg://tallymark@db.clinic.example/my_study`
    """
    from tallymark.data.findings import counted
    from tallymark.data.move_marks import move_marks as move
    from tallymark.data.study import Study

    rows = move(Study.open(study), url)
    if json:
        print_json({"rows": rows})
    else:
        typer.echo(f"{counted(rows, 'row')} moved; what is marked from now on goes there")
