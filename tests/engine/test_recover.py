"""Recovered masks: of exactly their number, on the original grid, by networks that have not seen their image."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tallymark.data.images import read_image, read_mask
from tallymark.data.marks import EXCLUDED
from tallymark.data.study import NumberRow, Study
from tallymark.datasets.kept_numbers import simulate_numbers
from tallymark.datasets.marbled import write_marbled
from tallymark.datasets.pairs import import_pairs, parse_codes, parse_ratio
from tallymark.datasets.weaken import weaken
from tallymark.engine import cross_fit
from tallymark.engine.evidence import sizes_of
from tallymark.engine.outlines import Scored, outlines
from tallymark.engine.pull import CLOSE, MIRRORED, USUAL, choose_pulls, likeness_of_marks
from tallymark.engine.recover import recover
from tallymark.engine.recovered import COLUMNS
from tallymark.engine.task import study_task
from tallymark.errors import ConfigError, StudyError
from tallymark.measure import axis_lengths
from tallymark.measure.definition import Statistic
from tiny import TINY

SPACING = (0.7, 0.8, 3.0)  # x, y, z, as SimpleITK has it
SETTINGS = (*TINY, "optim.epochs=2", "losses.grown.warmup=0.5", "losses.grown.cost=euclidean", "optim.ema_decay=0.5")


@pytest.fixture(scope="module")
def recovered(finished_study: Path, tmp_path_factory: pytest.TempPathFactory):
    """A recovery in two folds, with the study that it is of; made once."""
    root = tmp_path_factory.mktemp("recovered")
    shutil.copytree(finished_study.parent, root / "phantoms")
    study = Study.open(root / "phantoms" / "study")
    return study, recover(study, marks="e8", folds=2, out=root / "out", settings=SETTINGS, check=True)


def test_every_mask_has_exactly_its_number_on_the_grid_of_its_image(recovered) -> None:
    study, recovery = recovered
    for case in study.cases:
        mask = read_mask(recovery.folder.root / "masks" / f"{case.id}.png")
        assert mask.shape == read_image(case.image).space
        truth = study.truth.mask(case, "lesion")  # the numbers are exact
        assert mask.sum() == truth.sum()
        marks = study.marks.labels(case.id, "e8").get("lesion")
        assert marks is None or mask[marks].all()
    assert recovery.cases["reached"].all()
    assert sorted(recovery.cases["id"]) == sorted(case.id for case in study.cases)
    assert recovery.cases["expected_iou"].is_monotonic_increasing
    assert np.allclose(recovery.numbers["recovered"], recovery.numbers["kept"], atol=1e-9)


def test_a_map_of_confidence_sums_to_the_number_and_is_surest_inside(recovered) -> None:
    _, recovery = recovered
    row = recovery.cases[recovery.cases["pixels"] > 0].iloc[0]
    path = recovery.folder.root / row["confidence"]
    soft = read_image(path).pixels[..., 0].astype(float) / 65535
    mask = read_mask(recovery.folder.root / row["mask"])
    assert soft.sum() == pytest.approx(mask.sum(), rel=0.02)
    iou = row["expected_iou"]
    assert soft[mask].mean() == pytest.approx(2 * iou / (1 + iou), abs=0.02)


@pytest.mark.parametrize(
    ("close_ups", "unmarked", "networks"),
    [("true", 0, 3), ("true", 1, 6), ("false", 0, 3)],
    ids=["close-ups of all", "not of one", "whole images"],
)
def test_no_image_is_outlined_by_a_network_that_learned_from_its_group(
    study, tmp_path, monkeypatch, close_ups, unmarked, networks
) -> None:
    learned: dict[str, set[str]] = {}
    asked: dict[str, set[str]] = {}
    fit, look = cross_fit.fit, cross_fit.logits_of

    def noted_training(at, config, folder, **arguments):
        fold = at.fold(config.data.fold)
        learned[str(folder.root)] = {case.group for case in fold.split("train")}
        assert not fold.split("select")
        return fit(at, config, folder, **arguments)

    def noted_look(run, model, case, image):
        asked.setdefault(str(run.folder.root), set()).add(case.group)
        return look(run, model, case, image)

    opened = Study.open(study)
    there = [case for case in opened.cases if opened.marks.labels(case.id, "e8")]
    assert 0 < len(there) < len(opened.cases)  # the others are known to show nothing: no network is asked
    for case in there[:unmarked]:
        opened.marks.clear("e8", case.id)
    monkeypatch.setattr(cross_fit, "fit", noted_training)
    monkeypatch.setattr("tallymark.engine.sights.logits_of", noted_look)
    recovery = recover(
        study, folds=3, out=tmp_path / "out", settings=(*SETTINGS, f"losses.grown.close_ups={close_ups}")
    )
    # What has no close-up and may show something is seen by networks of whole images.
    assert len(learned) == networks
    assert set.union(*asked.values()) == {case.group for case in there}
    for run in asked:
        assert not asked[run] & learned[run]
        if close_ups == "false":
            assert asked[run] | learned[run] >= {case.group for case in there}
    empty = recovery.cases.set_index("id").loc[[case.id for case in opened.cases if case not in there]]
    assert (empty[["pixels", "expected_iou", "reasons"]] == [0, 1.0, ""]).all().all()


def test_no_full_mask_is_read_unless_a_check_is_asked_for(study, tmp_path) -> None:
    (study / "truth.csv").unlink()
    shutil.rmtree(study.parent / "source" / "masks")
    recovery = recover(study, folds=2, out=tmp_path / "out", settings=SETTINGS)
    assert recovery.check is None
    with pytest.raises(StudyError, match="no full mask"):
        recover(study, folds=2, out=tmp_path / "out", settings=SETTINGS, check=True)


def test_a_check_tells_the_overlap_and_how_well_it_was_foreseen(recovered) -> None:
    study, recovery = recovered
    table = pd.read_csv(recovery.folder.check_file, dtype={"id": str})
    row = table[table["true_pixels"] > 0].iloc[0]
    mask = read_mask(recovery.folder.root / "masks" / f"{row['id']}.png")
    truth = study.truth.mask(study.case(row["id"]), "lesion")
    assert row["iou"] == pytest.approx((mask & truth).sum() / (mask | truth).sum())
    scores = recovery.check.summary()["lesion"]
    there = table[table["true_pixels"] > 0]
    assert scores["iou_per_image"] == pytest.approx(there["iou"].mean())
    assert scores["mean_absolute_error"] == pytest.approx((there["iou"] - there["expected_iou"]).abs().mean())
    assert sum(part["images"] for part in scores["calibration"]) == len(there)
    assert json.loads(recovery.folder.summary_file.read_text())["check"]["lesion"] == scores


@pytest.mark.full
def test_a_recovery_that_was_killed_goes_on_where_it_was(study, tmp_path) -> None:
    out = tmp_path / "out"
    words = [word for setting in (*SETTINGS, "optim.epochs=8") for word in ("--set", setting)]
    command = [sys.executable, "-m", "tallymark", "recover", str(study), "--out", str(out), "--folds", "2", *words]
    first = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (checkpoints := list(out.glob("runs/*/checkpoints/last.ckpt"))) and time.monotonic() < deadline:
        assert first.poll() is None, "it was done before it could be killed"
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (out / "summary.json").exists()
    before = checkpoints[0].stat().st_mtime_ns
    whole = recover(study, folds=2, out=tmp_path / "whole", settings=(*SETTINGS, "optim.epochs=8"))
    again = recover(study, folds=2, out=out, settings=(*SETTINGS, "optim.epochs=8"))
    assert checkpoints[0].stat().st_mtime_ns >= before
    assert sorted(path.name for path in (out / "runs").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole" / "runs").iterdir()
    )
    pd.testing.assert_frame_equal(again.cases, whole.cases)


def test_finished_folds_are_not_trained_again(recovered, monkeypatch) -> None:
    study, recovery = recovered

    def refuse(*arguments, **named):
        raise AssertionError("trained again")

    monkeypatch.setattr(cross_fit, "fit", refuse)
    again = recover(study, marks="e8", folds=2, out=recovery.folder.root, settings=SETTINGS, check=True)
    pd.testing.assert_frame_equal(again.cases, recovery.cases)
    other = recover(study, marks="e8", folds=2, out=recovery.folder.root, settings=SETTINGS, pull=0.5)
    assert other.pulls == {"lesion": 0.5}
    assert not other.cases["expected_iou"].equals(recovery.cases["expected_iou"])


def test_intervals_zeros_small_numbers_and_missing_ones(study, tmp_path) -> None:
    opened = Study.open(study)
    name = opened.statistics[0].name
    with_marks = [case for case in opened.cases if opened.marks.labels(case.id, "e8")]
    with_marks.sort(key=lambda case: -opened.marks.labels(case.id, "e8")["lesion"].sum())
    tiny, interval, zero, missing, *others = with_marks
    rows = [
        NumberRow(interval.id, name, low=0.2, high=0.3),
        NumberRow(zero.id, name, value=0.0),
        NumberRow(tiny.id, name, value=1e-6),
        *(NumberRow(case.id, name, value=0.1) for case in others),
    ]
    opened.add_numbers(rows, "as kept")
    recovery = recover(opened, numbers="as kept", folds=2, out=tmp_path / "out", settings=SETTINGS)
    found = recovery.cases.set_index("id")
    pixels = 48 * 48
    assert math.ceil(0.2 * pixels - 0.5) <= found.loc[interval.id, "pixels"] <= math.floor(0.3 * pixels + 0.5)
    assert found.loc[zero.id, "pixels"] == 0
    assert "the number is 0" in found.loc[zero.id, "reasons"]
    assert found.loc[tiny.id, "pixels"] == 1
    assert "more is marked than the number says" in found.loc[tiny.id, "reasons"]
    assert not found.loc[missing.id, "known"]
    assert "no number" in found.loc[missing.id, "reasons"]
    # Marks are inside, whatever the size; and nothing says that the networks' own outline is of the right one.
    mask = read_mask(recovery.folder.root / found.loc[missing.id, "mask"])
    assert mask[opened.marks.labels(missing.id, "e8")["lesion"]].all()
    assert found.loc[missing.id, "expected_iou"] < found.loc[[case.id for case in others], "expected_iou"].min()
    assert (found.loc[[case.id for case in others], "pixels"] == round(0.1 * pixels)).all()


def test_what_would_fail_after_hours_is_refused_at_once(study, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(cross_fit, "fit", None)
    with pytest.raises(StudyError, match=r"no mark set 'other'.*found e8"):
        recover(study, marks="other", out=tmp_path / "out")
    with pytest.raises(StudyError, match=r"more folds than groups.*99 folds.*--folds"):
        recover(study, folds=99, out=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"^--folds: .*found 1; expected 2 or more$"):
        recover(study, folds=1, out=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"key data\.fold: recover deals the folds itself"):
        recover(study, out=tmp_path / "out", settings=("data.fold=1/2",))
    full = tmp_path / "full"
    full.mkdir()
    (full / "precious.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no recovery wrote.*precious\.png"):
        recover(study, out=full)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "recovery.json").write_text('{"study": "another"}')
    with pytest.raises(ConfigError, match=r"another study.*found another.*--out"):
        recover(study, out=theirs)
    opened = Study.open(study)
    opened.add_numbers([NumberRow(opened.cases[0].id, opened.statistics[0].name)], "lost")
    with pytest.raises(StudyError, match="no image has a number"):
        recover(opened, numbers="lost", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_settings_in_the_same_folder_are_told_and_leave_nothing_behind(study, tmp_path) -> None:
    out, told = tmp_path / "out", io.StringIO()
    recover(study, folds=2, out=out, settings=SETTINGS)
    # One image is taken out of the study, and somebody has put a mask of his own beside the others.
    (out / "masks" / "taken out of the study.png").write_bytes(b"")
    gone = ",".join("masks/taken out of the study.png" if name == "mask" else "" for name in COLUMNS)
    (out / "cases.csv").write_text((out / "cases.csv").read_text() + gone + "\n")
    (out / "masks" / "by hand.png").write_bytes(b"")
    recovery = recover(study, folds=2, seed=1, out=out, settings=SETTINGS, console=Console(file=told, width=200))
    assert "are replaced; they were made with other settings: seed 0" in told.getvalue()
    masks = {file.name for file in (out / "masks").iterdir()}
    assert masks == {Path(mask).name for mask in recovery.cases["mask"]} | {"by hand.png"}


def test_lengths_bound_the_masks(study, tmp_path) -> None:
    opened = Study.open(study)
    longest = Statistic("longest", "longest_axis", ("lesion",), unit="mm")
    settings = opened.settings.model_copy(update={"statistics": (longest,)})
    cases = [replace(case, spacing=(0.1, 0.1)) for case in opened.cases]
    lengths = {
        case.id: axis_lengths(mask, (0.1, 0.1))[0]
        for case in cases
        if (mask := opened.truth.mask(case, "lesion")).any()
    }
    made = Study.create(
        tmp_path / "lengths", settings, cases, numbers=[NumberRow(id, "longest", mm) for id, mm in lengths.items()]
    )
    for id in lengths:
        for name, mask in opened.marks.labels(id, "e8").items():
            made.marks.add_raster(id, "e8", name, mask)
    recovery = recover(made, folds=2, out=tmp_path / "out", settings=SETTINGS)
    found = recovery.cases.set_index("id").loc[list(lengths)]
    pixels = np.array([lengths[id] for id in lengths]) ** 2 * np.pi / 4 / 0.01
    assert found["known"].all()
    assert (found["pixels"] <= pixels + 1).all()
    assert (found["pixels"] >= pixels / 4 - 1).all()


def test_the_size_of_a_volume_is_counted_in_double_precision(study) -> None:
    opened = Study.open(study)
    case, name = opened.cases[0], opened.statistics[0].name
    share = 33_333_333 / 100_000_000  # single precision is off by one voxel
    numbers = {(case.id, name): NumberRow(case.id, name, value=share).canonical(1.0)}
    least, most = sizes_of(case, (10_000, 10_000), numbers, study_task(opened)).ends()
    assert round(float(least[0, 0]) * 100_000_000) == round(float(most[0, 0]) * 100_000_000) == 33_333_333


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Volumes of two boxes that touch, in a geometry that a mask must keep."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        labels = np.zeros((8, 16, 20), dtype=np.uint8)
        labels[1:5, 3:12, 2 + index % 3 : 9] = 1
        labels[1:5, 3:12, 9:15] = 2
        pixels = (60 * labels + rng.normal(40, 5, labels.shape)).clip(0, 255).astype(np.uint8)
        for folder, array in (("images", pixels), ("masks", labels)):
            volume = SimpleITK.GetImageFromArray(array)
            volume.SetSpacing(SPACING)
            volume.SetOrigin((10.0, -20.0, 5.0))
            volume.SetDirection((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
            SimpleITK.WriteImage(volume, str(tmp_path / folder / f"case{index}.nii.gz"))
    codes = parse_codes("left=1,right=2")
    import_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "study", codes=codes)
    weaken(Study.open(tmp_path / "study"), marks="erosion:10%", mark_set="e10")
    return tmp_path / "study"


def test_volumes_of_several_structures_never_overlap_and_keep_their_geometry(volumes, tmp_path) -> None:
    study = Study.open(volumes)
    small = (*SETTINGS, "data.size=[8,16,16]", "optim.batch_size=2")
    recovery = recover(study, folds=2, out=tmp_path / "out", settings=small)
    for case in study.cases:
        image = SimpleITK.ReadImage(str(case.image))
        masks = []
        for name in ("left", "right"):
            written = SimpleITK.ReadImage(str(tmp_path / "out" / "masks" / f"{case.id}_{name}.nii.gz"))
            soft = SimpleITK.ReadImage(str(tmp_path / "out" / "confidence" / f"{case.id}_{name}.nii.gz"))
            for geometry in ("GetSize", "GetOrigin", "GetDirection", "GetSpacing"):
                assert getattr(written, geometry)() == pytest.approx(getattr(image, geometry)())
                assert getattr(soft, geometry)() == pytest.approx(getattr(image, geometry)())
            masks.append(SimpleITK.GetArrayFromImage(written) > 0)
            assert masks[-1].sum() == study.truth.mask(case, name).sum()
            assert masks[-1][study.marks.labels(case.id, "e10")[name]].all()
            assert SimpleITK.GetArrayFromImage(soft).min() >= 0
            assert SimpleITK.GetArrayFromImage(soft).max() <= 1
        assert not (masks[0] & masks[1]).any()
    assert len(recovery.cases) == 12


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), counts=st.tuples(st.integers(0, 20), st.integers(1, 20)))
def test_masks_that_compete_keep_their_sizes_their_marks_and_no_pixel_of_each_other(seed, counts) -> None:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(2, 7, 8)).astype(np.float32)
    forced, barred = np.zeros((2, 2, 7, 8), dtype=bool)
    forced[0, 0, 0] = forced[1, 6, 7] = barred[:, 3, 3] = True
    sizes = np.array(counts, dtype=float)
    both = outlines([Scored(score, sizes, sizes, forced, barred)])[0]
    assert both.sum(axis=(1, 2)).tolist() == list(counts)
    assert not both.all(axis=0).any()
    assert not both[barred].any()
    assert both[1, 6, 7]
    assert both[0, 0, 0] or counts[0] == 0
    # Stable: no free pixel that a structure would rather have than one of its own.
    free = ~both.any(axis=0) & ~barred[0]
    for mask, ranked, own in zip(both, score, forced, strict=True):
        if (mask & ~own).any() and free.any():
            assert ranked[mask & ~own].min() >= ranked[free].max()


def test_where_too_little_is_free_the_number_is_not_reached_and_the_table_says_so(study, tmp_path) -> None:
    opened = Study.open(study)
    case = next(case for case in opened.cases if opened.marks.labels(case.id, "e8"))
    walls = np.ones((48, 48), dtype=bool) & ~opened.marks.labels(case.id, "e8")["lesion"]
    opened.marks.add_raster(case.id, "e8", EXCLUDED, walls, origin="simulated")
    recovery = recover(opened, folds=2, out=tmp_path / "out", settings=SETTINGS)
    row = recovery.cases.set_index("id").loc[case.id]
    assert not row["reached"]
    assert row["pixels"] == row["marked_pixels"]
    assert f"number not reached: {row['pixels']} pixels of" in row["reasons"]


def test_growth_weighs_more_where_marks_mirror_their_structure(recovered) -> None:
    study, recovery = recovered
    marks, order = np.zeros((3, 11, 11), dtype=bool), np.full((3, 11, 11), 3.0)
    order[:, 1:10, 1:10] = 0.9
    marks[0, 4:7, 4:7] = marks[1, 1:4, 1:4] = True
    order[2] = np.nan
    marks[2, 0, 0] = True
    found = likeness_of_marks(marks, order)
    assert found[:2].tolist() == [1.0, 0.0]
    assert np.isnan(found[2])
    assert choose_pulls([found], 3).tolist() == [MIRRORED, USUAL, USUAL]
    assert choose_pulls([], 1).tolist() == [USUAL]
    assert choose_pulls([found], 3, CLOSE).tolist() == [MIRRORED, CLOSE, CLOSE]
    # All that has grown is seen in close-ups.
    assert recovery.pulls["lesion"] in (CLOSE, MIRRORED)
    assert study.structures == tuple(recovery.pulls)


def test_numbers_alone_give_masks_of_exactly_their_size(study: Path, tmp_path: Path) -> None:
    (study / "marks.sqlite").unlink()
    opened = Study.open(study)
    recovery = recover(opened, folds=2, out=tmp_path / "out", settings=(*SETTINGS, "data.marked=0"), check=True)
    for case in opened.cases:
        assert read_mask(tmp_path / "out" / "masks" / f"{case.id}.png").sum() == opened.truth.mask(case, "lesion").sum()
    summary = recovery.summary()
    assert summary["without_marks"] == summary["cases"]
    assert summary["number_not_reached"] == 0


def test_the_number_of_a_group_is_met_by_its_images_together(study: Study, tmp_path: Path) -> None:
    table = pd.read_csv(study / "cases.csv", dtype=str, keep_default_na=False)
    table["group"] = [f"patient{row // 3}" for row in range(len(table))]
    table["split"] = "train"
    table.to_csv(study / "cases.csv", index=False)
    simulate_numbers(Study.open(study), "group", "per patient")
    opened = Study.open(study)
    name, total = opened.statistics[0].name, opened.group_numbers("per patient")
    own = opened.numbers("exact")[opened.cases[0].id, name].value
    rows = [NumberRow(group, name, value=number.value, level="group") for (group, _), number in total.items()]
    opened.add_numbers([*rows, NumberRow(opened.cases[0].id, name, value=own)], "and one")
    recovery = recover(opened, numbers="and one", folds=2, out=tmp_path / "out", settings=SETTINGS)
    pixels, shared = (recovery.cases.set_index("id")[column] for column in ("pixels", "shared"))
    for group, number in total.items():
        ids = [case.id for case in opened.cases if case.group == group[0]]
        assert pixels[ids].sum() == round(number.value * len(ids) * 48 * 48)
    assert pixels[opened.cases[0].id] == round(own * 48 * 48)
    assert shared.tolist() == [case != opened.cases[0].id for case in shared.index]
    assert recovery.cases["known"].all()
    assert recovery.cases["reached"].all()
    nothing = recovery.cases[recovery.cases["pixels"] == 0]
    assert nothing["reasons"].str.contains("others have all of the group's number").all()
    assert (nothing["expected_iou"] < 1).all()
    for case in opened.cases:
        marks = opened.marks.labels(case.id, "e8").get("lesion")
        assert marks is None or read_mask(tmp_path / "out" / "masks" / f"{case.id}.png")[marks].all()
    together = pd.read_csv(tmp_path / "out" / "group-numbers.csv")
    assert np.allclose(together["recovered"], together["kept"], atol=1e-6)
    assert together["images"].tolist() == [3] * len(total)


def test_a_ratio_without_any_size_is_met(tmp_path: Path) -> None:
    source = write_marbled(tmp_path / "source", 6, size=48)
    codes, statistics = parse_codes("fat=1,muscle=2"), [parse_ratio("fat/fat+muscle")]
    groups = source / "groups.csv"
    places = source / "images", source / "masks", tmp_path / "study"
    import_pairs(*places, groups=groups, codes=codes, statistics=statistics)
    study = Study.open(tmp_path / "study")
    weaken(study, "erosion:10%", "e10")
    kept = {case.id: study.numbers("exact")[case.id, "fat_ratio"].value for case in study.cases}
    study.add_numbers([NumberRow(one, "fat_ratio", value) for one, value in kept.items()], "ratio")
    recovery = recover(study, numbers="ratio", folds=2, out=tmp_path / "out", settings=SETTINGS)
    pixels = recovery.cases.pivot_table(index="id", columns="structure", values="pixels")
    # Within the pixel or so by which whole pixels can have a ratio.
    off = (1 - pd.Series(kept)) * pixels["fat"] - pd.Series(kept) * pixels["muscle"]
    assert off.abs().max() <= 1
    assert recovery.cases["shared"].all()
    assert (pixels > 0).all(axis=None)
