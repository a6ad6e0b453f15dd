"""The verbs put together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from tallymark.cli import (
    check,
    demo,
    doctor,
    experiments,
    exports,
    imports,
    mark,
    move_marks,
    new,
    recover,
    reports,
    runs,
    team,
    weaken,
)
from tallymark.cli.output import print_error, wants_json
from tallymark.cli.stopping import Stoppable
from tallymark.errors import TallymarkError

app = typer.Typer(
    name="tallymark",
    cls=Stoppable,
    help="Learn to segment from the numbers a clinic kept and a few marked pixels.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> bool:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tallymark {version('tallymark')}")
        raise typer.Exit
    return asked


@app.callback()
def _root(
    _show_version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None: ...


app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("new")(new.new)
app.add_typer(imports.app, name="import")
app.command("check")(check.check)
app.command("weaken")(weaken.weaken)
app.command("mark")(mark.mark)
app.add_typer(team.app, name="team")
app.command("move-marks")(move_marks.move_marks)
app.command("train")(runs.train)
app.command("predict")(runs.predict)
app.command("evaluate")(runs.evaluate)
app.command("recover")(recover.recover)
app.command("report")(reports.report)
app.add_typer(exports.app, name="export")
app.add_typer(experiments.app, name="experiment")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit with its code; a user's mistake is one line on standard error, never a traceback.

    Args:
        arguments: without the program's name; None: those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=words, prog_name="tallymark")
    except TallymarkError as error:
        print_error(error, as_json=wants_json(words))
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        # The reader of our output went away (| head): not an error of ours.
        sys.stderr.close()
        raise SystemExit(0) from None
