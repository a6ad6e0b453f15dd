"""The pictures in README and docs, made again.

    python tools/pictures.py in-and-out RUN OUT.png       an image with its mark, and what comes out (synthetic studies)
    python tools/pictures.py outlines RUN OUT.png         best to worst test cases as outlines alone
    python tools/pictures.py marks OUT.png                every kind of simulated mark (synthetic images)

Outlines are drawn on plain grey: real images are not ours to pass on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tallymark.data.images import normalise, read_image, read_mask
from tallymark.data.study import Study
from tallymark.datasets.case_pictures import draw_layers
from tallymark.datasets.generators import MarkOptions
from tallymark.datasets.kinds import MARK_KINDS, parse_marks
from tallymark.datasets.phantom import draw_phantom
from tallymark.datasets.seeds import named_rng
from tallymark.engine.evaluate import study_references
from tallymark.engine.model_file import load_model
from tallymark.engine.predict import mask_file
from tallymark.engine.run_folder import RunFolder
from tallymark.experiments.grid import read_cases
from tallymark.pictures import Panel, enlargement, overlay, overlay_sheet

SHOWN = 12
PHANTOM_SIDE, PANEL = 160, 240


def in_and_out(run: RunFolder, out: Path) -> None:
    """The case with the best overlap among those of middling size, as it goes in and as it comes out."""
    model = load_model(run.model_file)
    cases = read_cases(run.evaluation("test", ".csv"))
    cases = cases[cases["true_pixels"] > cases["true_pixels"].median()].sort_values("iou", ascending=False)
    references = {r.request.id: r for r in study_references(Study.open(run.study_folder), "test", model.config)}
    reference = references[cases["id"].iloc[0]]
    structure, request = model.task.structures[0], reference.request
    image = normalise(read_image(request.image), 1)
    predicted = read_mask(mask_file(run.predictions("test"), request, structure, model.task))
    nothing, enlarge = np.zeros_like(predicted), enlargement(predicted.shape)
    marked = overlay(image, nothing, marks=reference.marks[structure], enlarge=enlarge)
    outlined = overlay(image, predicted, truth=reference.truth(structure), enlarge=enlarge)
    number = next(iter(reference.recorded.values()))
    panels = [
        Panel(overlay(image, nothing, enlarge=enlarge), "a new image"),
        Panel(marked, f"kept of images like it: a number (here {number:.1%}) and a mark"),
        Panel(outlined, f"what the model draws: {predicted.mean():.1%} (dashed: the truth)"),
    ]
    overlay_sheet(panels, out, columns=3)


def outlines(run: RunFolder, out: Path) -> None:
    """Evenly spaced from the best to the worst case of the test split: prediction coloured, truth dashed."""
    model = load_model(run.model_file)
    cases = read_cases(run.evaluation("test", ".csv"))
    cases = cases[cases["true_pixels"] > 0].sort_values("iou", ascending=False).reset_index(drop=True)
    references = {r.request.id: r for r in study_references(Study.open(run.study_folder), "test", model.config)}
    panels = []
    for position in np.linspace(0, len(cases) - 1, SHOWN).round().astype(int):
        case = cases.iloc[position]
        reference = references[case["id"]]
        truth = np.stack([reference.truth(name) for name in model.task.structures])
        predicted = np.stack(
            [
                read_mask(mask_file(run.predictions("test"), reference.request, s, model.task))
                for s in model.task.structures
            ]
        )
        marks = np.stack([reference.marks.get(s, np.zeros(truth.shape[1:], bool)) for s in model.task.structures])
        plain = np.full(truth.shape[1:], 0.35)
        picture = overlay(plain, predicted, truth=truth, marks=marks, enlarge=enlargement(truth.shape[1:]))
        panels.append(Panel(picture, f"{case['id']}: IoU {case['iou']:.2f}"))
    overlay_sheet(panels, out, columns=4)


def marks(out: Path) -> None:
    """Every kind of mark on two synthetic structures: a lesion of two parts, and a thin layer."""
    panels = []
    for name, structure in (("19", "lesion"), ("5", "muscle")):
        phantom = draw_phantom(int(name), PHANTOM_SIDE)
        image, mask = phantom.image[..., None] / 255.0, phantom.masks[structure]
        panels.append(Panel(draw_layers(image, truth=mask[None]), f"{structure}: the full mask (dashed)"))
        for kind, made in MARK_KINDS.items():
            spec = parse_marks(kind)
            rng = named_rng(name, structure, kind, 0)  # as weaken draws for a case of this name
            drawn = made.generate(mask, rng, MarkOptions(spec.share or 1.0))
            says = made.says.replace("SHARE", f"{100 * (spec.share or 0):.2g} %")
            picture = draw_layers(image, truth=mask[None], marks=drawn[None], shown_at=PANEL)
            panels.append(Panel(picture, f"{spec}\n{says}"))
    overlay_sheet(panels, out, columns=5, width=PANEL)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    if what == "marks":
        marks(Path(paths[0]))
    else:
        {"in-and-out": in_and_out, "outlines": outlines}[what](RunFolder(Path(paths[0])), Path(paths[1]))
