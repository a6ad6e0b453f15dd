"""A study of close-ups: the same marks and numbers, around what they are of; and what is learned from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tallymark.data.marks import EXCLUDED, MarkStore
from tallymark.data.study import Case, NumberRow, Study, StudySettings
from tallymark.engine.close_up_labels import close_up_config
from tallymark.engine.close_ups import MARKS, close_ups
from tallymark.engine.config import GrownTerm
from tallymark.engine.evidence import Gatherer
from tallymark.engine.fit import fit
from tallymark.engine.growers import grower
from tallymark.engine.model_file import load_model
from tallymark.engine.outlines import scored
from tallymark.engine.pull import MIRRORED
from tallymark.engine.recipes import resolve
from tallymark.engine.train import train
from tallymark.errors import ConfigError
from tallymark.measure.definition import Statistic
from tiny import TINY

SETTINGS = (*TINY, "optim.epochs=2", "losses.grown.cost=euclidean", "optim.ema_decay=0.5")


def gathered(study: Study, marks: str | None, tmp_path) -> Gatherer:
    way = grower(GrownTerm(weight=1.0, cost="euclidean", straight=0.0))
    return Gatherer(study, study.numbers(), marks, way, tmp_path / "growth")


def drawn_study(tmp_path, shapes: dict[str, np.ndarray], **settings) -> Study:
    """Images with white shapes, a click in the middle of each piece, and their number."""
    from PIL import Image
    from scipy.ndimage import center_of_mass, label

    cases, numbers = [], []
    for name, mask in shapes.items():
        Image.fromarray(np.where(mask, 200, 50).astype(np.uint8)).save(tmp_path / f"{name}.png")
        cases.append(Case(name, tmp_path / f"{name}.png", split="train"))
        numbers.append(NumberRow(name, "share", value=float(mask.mean())))
    share = Statistic("share", "area_fraction", ("lesion",))
    whole = StudySettings(name="drawn", structures=("lesion",), statistics=(share,), **settings)
    study = Study.create(tmp_path / "study", whole, cases, numbers=numbers)
    for name, mask in shapes.items():
        pieces, count = label(mask)
        clicks = np.zeros_like(mask)
        for row, column in center_of_mass(mask, pieces, range(1, count + 1)):
            clicks[round(row), round(column)] = True
        if clicks.any():
            study.marks.add_raster(name, "clicks", "lesion", clicks)
    return study


def square(row: int, column: int, side: int) -> np.ndarray:
    mask = np.zeros((60, 80), dtype=bool)
    mask[row : row + side, column : column + side] = True
    return mask


def test_a_structure_covers_as_much_of_every_close_up_wherever_and_however_large_it_is(tmp_path) -> None:
    shapes = {"small": square(10, 60, 5), "large": square(20, 20, 20), "corner": square(0, 0, 10)}
    closer = close_ups(gathered(drawn_study(tmp_path, shapes), "clicks", tmp_path), _cases(tmp_path), tmp_path)
    assert closer is not None
    for name, mask in shapes.items():
        box, case = closer.boxes[name], closer.study.case(name)
        number = closer.study.numbers()[name, "lesion_share"].value
        assert number * box.pixels == pytest.approx(mask.sum())
        assert number == pytest.approx(1 / 4.8**2, rel=0.1)
        image = case.read().pixels[..., 0]
        assert image.shape == box.shape
        assert ((image > 30000) == box.cut(mask)).all() or name == "corner"  # whose edge goes on
        marks = closer.study.marks.labels(name, MARKS)
        assert marks["lesion"].sum() == 1
        beyond = marks.get(EXCLUDED, np.zeros(box.shape, dtype=bool))
        assert (beyond == ~box.inside(mask.shape)).all()
        assert beyond.any() == (name != "small")


def test_an_image_has_no_close_up_where_something_may_lie_anywhere_or_nothing_is(tmp_path) -> None:
    shapes = {"a": square(10, 60, 6), "empty": square(0, 0, 0), "unmarked": square(30, 30, 6), "b": square(9, 9, 6)}
    study = drawn_study(tmp_path, shapes)
    study.marks.clear("clicks", "unmarked")
    closer = close_ups(gathered(study, "clicks", tmp_path), study.cases, tmp_path)
    assert closer is not None
    assert set(closer.boxes) == {"a", "b"} == {case.id for case in closer.study.cases}


def test_what_is_strewn_over_the_image_has_none(tmp_path) -> None:
    dots = np.zeros((60, 80), dtype=bool)
    dots[5::25, 5::25] = True
    study = drawn_study(tmp_path, {"a": dots, "b": dots, "c": square(5, 5, 6)})
    assert close_ups(gathered(study, "clicks", tmp_path), study.cases, tmp_path) is None
    assert close_ups(gathered(study, None, tmp_path), study.cases, tmp_path) is None


def test_close_ups_are_made_once_and_nothing_half_made_is_left(tmp_path, monkeypatch) -> None:
    study = drawn_study(tmp_path, {"a": square(10, 60, 6), "b": square(9, 9, 8)})

    def killed(*arguments):
        raise KeyboardInterrupt

    gatherer = gathered(study, "clicks", tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(MarkStore, "add_raster", killed)
        with pytest.raises(KeyboardInterrupt):
            close_ups(gatherer, study.cases, tmp_path)
    assert not list(tmp_path.glob("*close-ups-*"))
    first = close_ups(gathered(study, "clicks", tmp_path), study.cases, tmp_path)
    assert first is not None
    image = first.study.case("a").image
    made = image.stat().st_mtime_ns
    again = close_ups(gathered(study, "clicks", tmp_path), study.cases, tmp_path)
    assert again is not None
    assert image.stat().st_mtime_ns == made
    assert again.boxes == first.boxes
    assert again.study.marks.labels("a", MARKS)["lesion"].sum() == 1


def test_evidence_of_a_close_up_lies_where_it_was_cut(tmp_path) -> None:
    mask = square(10, 60, 6)
    study = drawn_study(tmp_path, {"a": mask, "b": square(9, 9, 8)})
    whole = gathered(study, "clicks", tmp_path)
    closer = close_ups(whole, study.cases, tmp_path)
    assert closer is not None
    box, case = closer.boxes["a"], study.case("a")
    views = box.cut(mask).astype(np.float32)[None, None] * 8 - 4
    evidence = closer.evidence(whole, case, case.read(), views)
    assert ((evidence.logits[0, 0] > 0) == mask).all()
    # Straight growth from a click is a disc, of which a square has the most, and all beyond the close-up comes last.
    assert (evidence.order[0][mask] < 1).sum() > 0.75 * mask.sum()
    elsewhere = box.paste(np.zeros((1, *box.shape)), mask.shape, beyond=1.0)[0] > 0
    assert (evidence.order[0][elsewhere] == 8).all()
    assert (evidence.logits[0, 0][elsewhere] == -20).all()
    assert evidence.least == evidence.most == mask.sum()


def test_the_network_of_close_ups_sees_them_cut_out_and_reads_no_number_in_a_view(study) -> None:
    config = close_up_config(resolve("grow", "small", settings=SETTINGS), images=5, cases=12)
    assert config.recipe == "close_up"
    assert config.data.size == (48, 48)  # views of two thirds have the 32 x 32 pixels of the run
    assert config.optim.epochs == math.ceil(2 * 12 / 5)
    assert config.losses.grown.cost == "euclidean"
    assert not config.losses.grown.close_ups
    assert {name for name, term in config.losses if term.weight > 0} == {"grown", "gated_crf"}
    # In the whole image what lies around the middle would be lost, and no number holds in a part of it.
    for recipe in ("paper", "full"):
        with pytest.raises(ConfigError, match=r"augment\.crop"):
            train(study, recipe=recipe, settings=(*SETTINGS, "augment.crop=0.5"))


@pytest.fixture
def looked(monkeypatch) -> dict:
    """What trainings gave to close-ups, and what came back."""
    seen: dict = {}

    def noted(at, config, folder, **arguments):
        closer = arguments["closer"]

        def kept(cases, marked, rows):
            seen.update(cases=cases, before=rows, after=closer(cases, marked, rows))
            return seen["after"]

        return fit(at, config, folder, **{**arguments, "closer": kept})

    monkeypatch.setattr("tallymark.engine.train.fit", noted)
    return seen


def test_labels_of_close_ups_replace_growth_and_hold_the_number_and_the_marks(study, looked, monkeypatch) -> None:
    pulls: list[tuple[float, ...]] = []

    def noted(evidence, given, **options):
        pulls.append(tuple(given.tolist()))
        return scored(evidence, given, **options)

    monkeypatch.setattr("tallymark.engine.close_up_labels.scored", noted)
    run = train(study, recipe="grow", marks="e8", settings=SETTINGS)
    opened = Study.open(study)
    before, after = (np.asarray(looked[name], dtype=float) / 255 for name in ("before", "after"))
    assert before.shape == after.shape
    assert not np.array_equal(before, after)
    for case, row in zip(looked["cases"], after, strict=True):
        number = opened.numbers()[case.id, opened.statistics[0].name].value
        assert row[0, 0].mean() == pytest.approx(number, abs=2e-3)
    # Growth weighs the more where marks look like what erosion leaves of it.
    assert {*pulls} == {(MIRRORED,)}
    # They were made by a network that lies in the run, and are used again.
    assert len(list(run.folder.close_ups.glob("close_up-0-*/model.pt"))) == 1
    again = train(study, recipe="grow", marks="e8", settings=SETTINGS, out=study / "again")
    assert not again.folder.close_ups.exists()
    one, other = (load_model(each.folder.model_file).network.state_dict() for each in (run, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def _cases(tmp_path) -> tuple[Case, ...]:
    return Study.open(tmp_path / "study").cases
