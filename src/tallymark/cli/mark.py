"""``mark``: the page on which people mark images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.team import DatabaseOption


def mark(
    study: Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")],
    marks: Annotated[str, typer.Option(help="The set of marks to add to.")] = "hand",
    author: Annotated[str | None, typer.Option(help="Whose marks they are; the user of this machine.")] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Mark the images of this split; may be repeated; all: of every one. All but test if left away."
        ),
    ] = None,
    numbers: Annotated[str | None, typer.Option(help="Variant of the numbers that growth goes by.")] = None,
    run: Annotated[Path | None, typer.Option(help="Show the outlines that this run predicted, after a stroke.")] = None,
    blind: Annotated[float, typer.Option(help="Share of images on which they stay hidden.")] = 0.2,
    full: Annotated[bool, typer.Option("--full", help="Outline whole structures, for an audit.")] = False,
    team: Annotated[bool, typer.Option("--team", help="A team marks: everyone signs in with an account.")] = False,
    overlap: Annotated[float, typer.Option(help="Share of the images that everyone of a team marks.")] = 0.1,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine only with --team.")
    ] = "127.0.0.1",
    public: Annotated[str | None, typer.Option(help="Address under which the team reaches the page.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Key of the TLS certificate.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="A proxy before it speaks TLS.")] = False,
    database: DatabaseOption = None,
    port: Annotated[int | None, typer.Option(help="Port; the same one for a study unless given.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Mark images in the browser, two seconds each: one stroke, space for the next.

    Every stroke is on the disk before the page says so; stop with Ctrl+C at any time.

    Example: `tallymark mark my-study`
    """
    import getpass
    import webbrowser

    from tallymark.cli.team import open_team
    from tallymark.data.settings import SPLITS
    from tallymark.data.study import Study
    from tallymark.marking.server import serve
    from tallymark.marking.settings import TO_MARK, MarkingSettings, port_of

    opened = Study.open(study)
    settings = MarkingSettings(
        mark_set=marks,
        author=author or getpass.getuser(),
        port=port or port_of(study),
        variant=numbers,
        run=run,
        blind=blind,
        host=host,
        overlap=overlap,
        public=public,
        certificate=certificate,
        private_key=private_key,
        behind_proxy=behind_proxy,
        filled=full,
        splits=SPLITS if split == ["all"] else split or TO_MARK,
    )

    def ready(address: str) -> None:
        who = "everyone signs in" if team else "this address lets one browser in"
        typer.echo(f"mark here: {address}\n{who}; stop with Ctrl+C, every stroke is kept")
        if browser:
            webbrowser.open(address)

    serve(opened, settings, ready, open_team(study, database) if team else None)
