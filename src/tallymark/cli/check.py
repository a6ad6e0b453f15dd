"""``check``: everything that is wrong with a study, in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json


def check(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    images: Annotated[
        bool | None,
        typer.Option("--images/--no-images", help="Open every image; if left away, only where that takes seconds."),
    ] = None,
    group_duplicates: Annotated[
        bool,
        typer.Option(
            "--group-duplicates", help="Put images that look the same into one group, and deal the splits anew."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """List everything that is wrong with a study, with its remedy. Ends with code 3 if anything is an error.

    Example: `tallymark check my-study --images`
    """
    from tallymark.data.checking import check_study
    from tallymark.data.checking import group_duplicates as regroup
    from tallymark.data.findings import counted
    from tallymark.errors import StudyError

    report = check_study(study, images=images)
    done = regroup(study, report.duplicates) if group_duplicates and report.duplicates else None
    if done is not None:
        report = check_study(study, images=images)
    errors, warnings = report.count("error"), report.count("warning")
    if json:
        print_json(
            {
                "study": study,
                "cases": report.cases,
                "images_opened": report.opened,
                "marked": report.marked,
                "errors": errors,
                "warnings": warnings,
                "findings": [finding.document() for finding in report.findings],
                "duplicates": [vars(found) for found in report.duplicates],
                "regrouped": None if done is None else vars(done),
                "notes": report.notes,
            }
        )
    else:
        if done is not None:
            old = sum(map(len, done.merged.values()))
            moved = counted(done.moved, "case")
            typer.echo(f"{old} groups became {len(done.merged)}; the splits were dealt anew: {moved} moved")
        if done is not None and done.runs:
            typer.echo(f"these runs know the old splits; train them again: {', '.join(done.runs)}")
        for finding in sorted(report.findings, key=lambda finding: finding.severity != "error"):
            typer.echo(str(finding))
        for note in report.notes:
            typer.echo(f"note: {note}")
        for name, count in report.marked.items():
            typer.echo(f"mark set '{name}': {count} of {counted(report.cases, 'image')} marked")
        looked = f"{counted(report.cases, 'case')}, {counted(report.opened, 'image')} opened"
        typer.echo(f"{looked}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
    if errors:
        raise typer.Exit(StudyError.exit_code)
