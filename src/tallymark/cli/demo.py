"""``demo``: the whole road on synthetic images, from nothing to a page that one can look at."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json, progress_console

# What takes a few minutes on two cores and still learns; everything else is the small profile.
_SETTINGS = ("data.size=[64, 64]", "optim.epochs=30", "optim.batch_size=8")
_TRAININGS = (
    ("grow", "numbers and marks"),
    ("paper", "numbers and marks, as the paper does"),
    ("full", "full masks, for comparison"),
)
# A folder with this file may be replaced: nothing in it is anybody's work.
_MADE_HERE = "MADE-BY-DEMO.txt"


def demo(
    out: Annotated[Path, typer.Option(help="A new folder for everything the demo makes.")] = Path("demo"),
    cases: Annotated[int, typer.Option(min=20, help="Synthetic images.")] = 240,
    seed: Annotated[int, typer.Option(min=0, help="Of the images and of the training.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Replace what an earlier demo made in this folder.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting of the training, section.key=value.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train on synthetic ultrasound-like images and write a page with pictures and figures. No download.

    The images and masks are made by a computer and called synthetic. The masks are then reduced to a number and a few
    marked pixels; our recipe and the paper's learn from these, and full supervision learns from the masks beside them.

    Example: `tallymark demo --out demo`
    """
    from tallymark.data.atomic import write_text
    from tallymark.data.study import Study
    from tallymark.datasets.pairs import import_pairs
    from tallymark.datasets.phantom import write_phantoms
    from tallymark.datasets.weaken import weaken
    from tallymark.engine.evaluate import evaluate
    from tallymark.engine.train import train
    from tallymark.errors import ConfigError
    from tallymark.report import read_report, write_report

    if again and (out / _MADE_HERE).exists():
        shutil.rmtree(out)
    if out.exists() and any(out.iterdir()):
        raise ConfigError("the demo wants a new folder", where=out, remedy="choose another --out, or say --again")
    write_text(out / _MADE_HERE, "Made by 'tallymark demo'; 'tallymark demo --again' replaces this folder.\n")
    console = progress_console()
    began = time.monotonic()

    def say(step: str) -> None:
        console.print(f"[{time.monotonic() - began:5.0f} s] {step}", highlight=False, markup=False)

    say(f"drawing {cases} synthetic images")
    source = write_phantoms(out / "source", cases, seed)
    imported = import_pairs(source / "images", source / "masks", out / "study", groups=source / "groups.csv")
    say("reducing every mask to one number and 8 % of its pixels")
    study = Study.open(out / "study")
    weaken(study, marks="erosion:8%", mark_set="e8")
    runs = []
    for recipe, learns_from in _TRAININGS:
        say(f"training '{recipe}' on {learns_from}")
        run = train(
            study,
            recipe=recipe,
            marks="e8",
            seed=seed,
            out=out / "runs" / recipe,
            settings=[*_SETTINGS, *(settings or [])],
            console=console,
        )
        evaluate(run.folder.root)
        runs.append(run.folder.root)
    say("writing the page")
    content = read_report(
        runs,
        title="tallymark on synthetic images",
        lead="Two models that never saw a mask, only a number and a few marked pixels for each image (grow is ours, "
        "paper that of Kulkarni, Raff & Oates 2026), beside one that learned from the full masks.",
        synthetic=True,
        notes=str(imported).splitlines(),
        command=f"tallymark demo --out {out} --cases {cases} --seed {seed}",
    )
    page = write_report(content, out / "report.html")
    say("done")
    if json:
        print_json({"report": page.resolve(), "runs": runs, "seconds": round(time.monotonic() - began, 1)})
    else:
        typer.echo(f"open this page in a browser: {page.resolve()}")
