"""``team``: who may mark a study."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallymark.cli.output import JsonOption, print_json, print_table

if TYPE_CHECKING:
    from tallymark.marking.team import Team

app = typer.Typer(no_args_is_help=True, help="Accounts of a team that marks a study together.")

StudyArgument = Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")]
NameArgument = Annotated[str, typer.Argument(help="Name of the user.", metavar="NAME")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(help="Database of the accounts as SQLAlchemy writes it; that of the marks, or team.sqlite."),
]


@app.command("add")
def add(
    study: StudyArgument,
    name: NameArgument,
    role: Annotated[str, typer.Option(help="annotator, reviewer or admin.")] = "annotator",
    password_file: Annotated[
        Path | None, typer.Option(help="Take the password from the first line of a file; else one is made.")
    ] = None,
    database: DatabaseOption = None,
    json: JsonOption = False,
) -> None:
    """Make an account, or give it another role and password; the password is printed once.

    Example: `tallymark team add my-study reader1 --role annotator`
    """
    from tallymark.errors import ReadError
    from tallymark.marking.team import made_password

    try:
        lines = [] if password_file is None else password_file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ReadError("cannot be read", where=password_file, found=error.strerror) from error
    password = made_password() if password_file is None else (lines or [""])[0]
    with closing(open_team(study, database)) as team:
        team.add(name, role, password)
    shown = None if password_file else password
    if json:
        print_json({"name": name, "role": role, "password": shown})
    else:
        typer.echo(f"{name} may mark as {role}" + (f"; the password, shown only now: {shown}" if shown else ""))


@app.command("disable")
def disable(
    study: StudyArgument, name: NameArgument, database: DatabaseOption = None, json: JsonOption = False
) -> None:
    """Let a user in no more; what the user marked stays.

    Example: `tallymark team disable my-study reader1`
    """
    with closing(open_team(study, database)) as team:
        team.disable(name)
    if json:
        print_json({"name": name, "active": False})
    else:
        typer.echo(f"{name} comes in no more")


@app.command("list")
def users(study: StudyArgument, database: DatabaseOption = None, json: JsonOption = False) -> None:
    """Everyone who has an account.

    Example: `tallymark team list my-study`
    """
    with closing(open_team(study, database)) as team:
        found = team.users()
    if json:
        print_json({"users": [{"name": n, "role": role, "active": active} for n, (role, active) in found.items()]})
    else:
        rows = [(n, role, "yes" if active else "no") for n, (role, active) in found.items()]
        print_table("accounts", ["name", "role", "may come in"], rows)


@app.command("audit")
def audit(study: StudyArgument, database: DatabaseOption = None, json: JsonOption = False) -> None:
    """Who came in, was refused, or got or changed an account, and when.

    Example: `tallymark team audit my-study`
    """
    with closing(open_team(study, database)) as team:
        lines = team.audit()
    if json:
        print_json({"audit": [dict(zip(("time", "user", "action", "detail"), line, strict=True)) for line in lines]})
    else:
        print_table("audit", ["time", "user", "action", "detail"], lines)


def open_team(study: Path, database: str | None) -> Team:
    """The accounts of a study.

    Raises:
        StudyError: there is no study.
        ConfigError: there is no such database.
    """
    from tallymark.data.study import Study
    from tallymark.marking.team import FILE, Team

    opened = Study.open(study)
    return Team(database or opened.settings.marks.url or opened.folder / FILE)
