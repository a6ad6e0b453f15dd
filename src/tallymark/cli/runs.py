"""``train``, ``predict`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tallymark.cli.output import JsonOption, print_json, print_table, progress_console

Study = Annotated[Path, typer.Argument(help="The study folder.", metavar="STUDY")]
RunArgument = Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")]


def train(
    study: Study,
    recipe: Annotated[
        str,
        typer.Option(help="How it learns: grow or paper (numbers and marks), full (masks) or a comparator."),
    ] = "grow",
    profile: Annotated[str, typer.Option(help="How large: small (a CPU) or paper (a GPU).")] = "small",
    marks: Annotated[str | None, typer.Option(help="Mark set; the only one if left away.")] = None,
    numbers: Annotated[str | None, typer.Option(help="Number variant; recorded if left away.")] = None,
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; STUDY/runs/RECIPE-PROFILE-SEED if left away.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with more settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="One setting, section.key=value; may be repeated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    json: JsonOption = False,
) -> None:
    """Train a recipe on a study.

    Example: `tallymark train my-study --marks e8 --seed 0 --out my-study/runs/first`
    """
    from tallymark.engine.train import run_folder
    from tallymark.engine.train import train as run_training

    try:
        run = run_training(
            study,
            recipe=recipe,
            profile=profile,
            marks=marks,
            numbers=numbers,
            seed=seed,
            out=out,
            file=config,
            settings=settings or [],
            resume=resume,
            console=progress_console(),
        )
    except KeyboardInterrupt:
        # Growth and close-ups that come before the run itself are found again without being asked for.
        begun = run_folder(study, recipe, profile, seed, out).config_file.exists()
        raise KeyboardInterrupt("the same command with --resume goes on" if begun and not resume else "") from None
    if json:
        print_json({"run": run.folder.root, "model": run.folder.model_file, "supervised": run.config.reads_masks})
    else:
        typer.echo(f"trained: {run.folder.root}")
        typer.echo(f"next:    tallymark evaluate {run.folder.root}")


def predict(
    run: Annotated[Path, typer.Argument(help="The run's folder, or a model.pt.", metavar="RUN")],
    images: Annotated[Path, typer.Argument(help="A folder of images, or one image.", metavar="IMAGES")],
    out: Annotated[Path, typer.Option(help="Where masks, overlays and numbers go.")],
    groups: Annotated[
        Path | None, typer.Option(help="CSV with columns id, group: the images of a group are measured together too.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once; changes the speed, not the result.")] = 16,
    json: JsonOption = False,
) -> None:
    """Outline the structures in new images and measure them.

    Example: `tallymark predict my-study/runs/first new-images --out predicted`
    """
    from tallymark.data.findings import counted
    from tallymark.engine.predict import predict as run_prediction

    numbers = run_prediction(run, images, out, groups=groups, batch_size=batch_size)
    if json:
        print_json({"out": out, "images": int(numbers["id"].nunique()), "numbers": numbers.to_dict(orient="records")})
    else:
        typer.echo(f"{counted(numbers['id'].nunique(), 'image')} predicted: {out / 'masks'}, {out / 'overlays'}")
        typer.echo(f"numbers: {out / 'numbers.csv'}")
        typer.echo(f"how sure the model is of each mask: {out / 'certainty.csv'}")


def evaluate(
    run: RunArgument,
    split: Annotated[str, typer.Option(help="Split of the run's own study.")] = "test",
    numbers: Annotated[str | None, typer.Option(help="Number variant to compare with; the run's own else.")] = None,
    images: Annotated[Path | None, typer.Option(help="Instead: a folder of images, with --masks.")] = None,
    masks: Annotated[Path | None, typer.Option(help="The folder of their masks, paired by name.")] = None,
    reuse: Annotated[bool, typer.Option("--reuse", help="Score the predictions that are there.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where predictions and scores go; RUN if left away.")] = None,
    json: JsonOption = False,
) -> None:
    """Score a run against full masks: overlap, error of the number, marks hit. Without full masks: the last two.

    Example: `tallymark evaluate my-study/runs/first --split test --json`
    """
    from tallymark.engine.evaluate import evaluate as run_evaluation

    evaluation = run_evaluation(run, split=split, numbers=numbers, images=images, masks=masks, reuse=reuse, out=out)
    if json:
        print_json(evaluation.summary())
        return
    learned = "full masks" if evaluation.supervised else "numbers and marks, no mask"
    scores = [
        ("images", "images"),
        ("IoU, mean per image", "iou_per_image"),
        ("IoU, pooled", "iou_pooled"),
        ("Dice, mean per image", "dice_per_image"),
        ("marked pixels inside", "mark_hit_rate"),
        ("empty images", "empty_images"),
        ("of these left empty", "empty_correct"),
    ]
    title = f"{evaluation.run.name} on {evaluation.name}: learned from {learned}"
    if not evaluation.has_truth:
        title += "\nthe study has no full masks: how well outlines overlap is not known"
        scores = [("marked pixels inside", "mark_hit_rate")]
    print_table(
        title,
        ["score", *evaluation.scores],
        [[label, *(of[key] for of in evaluation.scores.values())] for label, key in scores],
    )
    print_table(
        "\nnumbers: predicted minus kept",
        ["statistic", "unit", "images", "mean abs. error", "bias", "95 % limits"],
        _number_rows(evaluation.numbers),
    )
    if evaluation.groups:
        print_table(
            "\nnumbers of groups: predicted minus kept",
            ["statistic", "unit", "groups", "mean abs. error", "bias", "95 % limits"],
            _number_rows(evaluation.groups),
        )


def _number_rows(numbers: Mapping[str, Mapping[str, float | int | str | None]]) -> list[list[object]]:
    return [
        [name, of["unit"], of["images"], of["mean_absolute_error"], of["bias"], _limits(of["lower"], of["upper"])]
        for name, of in numbers.items()
    ]


def _limits(lower: object, upper: object) -> str:
    if not isinstance(lower, float) or not isinstance(upper, float):
        return "-"
    return f"{lower:+.3f} to {upper:+.3f}"
