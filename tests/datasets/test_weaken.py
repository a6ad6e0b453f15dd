"""Full masks made into marks and numbers: what is written, what is never overwritten, what it amounts to on BUSI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tallymark.data.cases import Case
from tallymark.data.numbers import NumberRow
from tallymark.data.settings import StudySettings
from tallymark.data.study import Study
from tallymark.data.truth import TruthRow
from tallymark.datasets.generators import MarkOptions, erode
from tallymark.datasets.pairs import ImportReport, import_pairs
from tallymark.datasets.phantom import write_phantoms
from tallymark.datasets.seeds import named_rng
from tallymark.datasets.weaken import weaken
from tallymark.errors import ConfigError, ReadError, StudyError
from tallymark.measure.definition import Statistic


def _phantoms(folder: Path, count: int = 12) -> Study:
    root = write_phantoms(folder, count, size=32, normals=0.3)
    import_pairs(root / "images", root / "masks", root / "study", groups=root / "groups.csv")
    return Study.open(root / "study")


def _marks(study: Study, mark_set: str) -> dict[str, np.ndarray]:
    found = {case.id: study.marks.labels(case.id, mark_set) for case in study.cases}
    return {id: labels["lesion"] for id, labels in found.items() if labels}


def test_marks_and_exact_numbers_are_written(tmp_path: Path) -> None:
    study = _phantoms(tmp_path)
    report = weaken(study, "erosion:12%", "e12")
    marks = _marks(study, "e12")
    masks = {case.id: study.truth.mask(case, "lesion") for case in study.cases}
    assert study.marks.sets()["e12"].origin == "simulated"
    assert set(marks) == {id for id, mask in masks.items() if mask.any()}
    shares = []
    for id, marked in marks.items():
        rng = named_rng(id, "lesion", "erosion", 0)
        assert np.array_equal(marked, erode(masks[id], rng, MarkOptions(0.12)))
        shares.append(marked.sum() / masks[id].sum())
    assert report.share_mean == pytest.approx(np.mean(shares))
    assert (report.share_min, report.share_max) == pytest.approx((min(shares), max(shares)))
    assert (report.cases, report.empty, report.unmasked) == (len(marks), 12 - len(marks), 0)
    assert report.outside_mean == 0
    numbers = Study.open(study.folder).numbers("exact")
    assert {id: numbers[id, "lesion_fraction"].value for id in masks} == pytest.approx(
        {id: mask.mean() for id, mask in masks.items()}, abs=1e-12
    )
    assert report.numbers == 12


def test_numbers_are_in_the_unit_of_the_table_and_of_known_masks_only(tmp_path: Path) -> None:
    fat, muscle = np.zeros((4, 5), dtype=np.uint8), np.zeros((4, 5), dtype=np.uint8)
    fat[0, :3] = muscle[1:3, :] = muscle[3, 0] = 255  # 3 and 11 pixels of 20
    for name, pixels in (("image", fat), ("fat", fat), ("muscle", muscle), ("empty", 0 * fat)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    settings = StudySettings(
        name="ratio",
        structures=("fat", "muscle"),
        statistics=(
            Statistic("fat share", "area_fraction", ("fat",), unit="percent"),
            Statistic("ratio", "area_ratio", ("fat",), over=("fat", "muscle")),
            Statistic("fat size", "area", ("fat",), unit="cm2"),
            Statistic("grey", "mean_intensity", ("muscle",), unit="intensity"),
        ),
    )
    cases = [Case(id, tmp_path / "image.png", spacing=(10.0, 20.0)) for id in ("both", "fat only", "nothing")]
    truth = [
        TruthRow("both", "fat", tmp_path / "fat.png"),
        TruthRow("both", "muscle", tmp_path / "muscle.png"),
        TruthRow("fat only", "fat", tmp_path / "fat.png"),
        TruthRow("nothing", "fat", tmp_path / "empty.png"),
        TruthRow("nothing", "muscle", tmp_path / "empty.png"),
    ]
    study = Study.create(tmp_path / "study", settings, cases, truth)
    report = weaken(study, "deepest:50%", "d", structures=["muscle"])
    rows = (tmp_path / "study" / "statistics.csv").read_text().splitlines()
    stored = {tuple(row.split(",")[1:3]): float(row.split(",")[4]) for row in rows[1:]}
    assert stored == pytest.approx(
        {
            ("both", "fat share"): 15.0,
            ("both", "ratio"): 3 / 14,
            ("both", "fat size"): 6.0,  # 3 pixels of 2 cm2
            ("both", "grey"): 0.0,
            ("fat only", "fat share"): 15.0,
            ("fat only", "fat size"): 6.0,
            ("nothing", "fat share"): 0.0,  # and no ratio of nothing to nothing
            ("nothing", "fat size"): 0.0,
        }
    )
    assert list(study.marks.labels("both", "d")) == ["muscle"]
    assert study.marks.labels("both", "d")["muscle"].sum() == round(0.5 * 11)
    assert (report.cases, report.empty) == (1, 1)


def test_the_same_call_gives_the_same_marks_whatever_else_is_in_the_study(tmp_path: Path) -> None:
    more, fewer = _phantoms(tmp_path / "more", 12), _phantoms(tmp_path / "fewer", 5)
    for study in (more, fewer):
        weaken(study, "click", "c", variant=1)
    of_more = _marks(more, "c")
    for id, marks in _marks(fewer, "c").items():
        assert np.array_equal(marks, of_more[id])
    weaken(more, "click", "other", variant=2)
    other = _marks(more, "other")
    assert any(not np.array_equal(marks, other[id]) for id, marks in of_more.items())


def test_a_simulated_set_is_replaced_only_on_purpose(tmp_path: Path) -> None:
    study = _phantoms(tmp_path)
    weaken(study, "erosion:8%", "set")
    before = study.marks.fingerprint("set", [case.id for case in study.cases])
    numbers = (study.folder / "statistics.csv").read_bytes()
    with pytest.raises(StudyError, match="there is a mark set 'set' already"):
        weaken(study, "click", "set")
    assert study.marks.fingerprint("set", [case.id for case in study.cases]) == before
    weaken(study, "click", "set", replace=True)
    assert all(marks.sum() == 1 for marks in _marks(study, "set").values())
    assert (study.folder / "statistics.csv").read_bytes() == numbers


def test_real_marks_and_recorded_numbers_stay(tmp_path: Path) -> None:
    study = _phantoms(tmp_path)
    drawn = np.zeros((32, 32), dtype=bool)
    drawn[3, 4] = True
    case = study.cases[0]
    study.marks.add_raster(case.id, "drawn", "lesion", drawn, author="reader 1")
    study.add_numbers([NumberRow(case.id, "lesion_fraction", value=0.5)], "recorded")
    for replaced in (False, True):
        with pytest.raises(StudyError, match="for the simulated marks"):
            weaken(study, "click", "drawn", replace=replaced)
    weaken(study, "click", "clicks")
    assert np.array_equal(study.marks.labels(case.id, "drawn")["lesion"], drawn)
    assert study.numbers()[case.id, "lesion_fraction"].value == 0.5
    assert study.numbers("exact")[case.id, "lesion_fraction"].value != 0.5


def test_nothing_is_written_if_a_mask_cannot_be_read(tmp_path: Path) -> None:
    study = _phantoms(tmp_path)
    path = study.truth.rows(study.cases[7].id, "lesion")[0].path
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ReadError):
        weaken(study, "click", "c")
    assert study.marks.sets() == {}
    assert Study.open(study.folder).number_variants() == ()


def test_nothing_is_written_if_the_numbers_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = _phantoms(tmp_path)

    def fail(*_: object) -> None:
        raise StudyError("no")

    monkeypatch.setattr(study, "add_numbers", fail)
    with pytest.raises(StudyError):
        weaken(study, "click", "c")
    assert study.marks.sets() == {}


def test_what_cannot_be_weakened_is_refused(tmp_path: Path) -> None:
    study = _phantoms(tmp_path, 3)
    with pytest.raises(ConfigError, match="unknown kind"):
        weaken(study, "magic:8%")
    with pytest.raises(StudyError, match="unknown structure"):
        weaken(study, structures=["kidney"])
    bare = Study.create(tmp_path / "bare", study.settings, [replace(case, split="") for case in study.cases])
    with pytest.raises(StudyError, match="no full masks"):
        weaken(bare)


def test_volumes_are_weakened_too(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    from tallymark.datasets.phantom import make_phantom_volume

    volume, mask = make_phantom_volume(0, (16, 18, 20))
    for name, pixels in (("v.nrrd", volume), ("v_mask.nrrd", mask.astype(np.uint8))):
        image = sitk.GetImageFromArray(pixels)
        image.SetSpacing((0.5, 0.5, 3.0))
        sitk.WriteImage(image, str(tmp_path / name))
    import_pairs(tmp_path, None, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    for kind in ("erosion:8%", "deepest:8%", "stroke", "scribble", "dab"):
        weaken(study, kind, kind)
        marks = study.marks.labels("v", kind)["lesion"]
        assert marks.any()
        assert not (marks & ~mask).any()


def test_busi_falls_short_of_the_share_that_was_asked_for(busi: ImportReport) -> None:
    """By the literal erosion, which stops below the share."""
    study = Study.open(busi.study)
    eroded = weaken(study, "erosion:8%", "e8")
    assert (eroded.cases, eroded.empty, eroded.numbers) == (516, 103, 619)
    assert 0.068 < eroded.share_mean < 0.075  # at the original sizes; .064 at 256 x 256
    assert eroded.share_max <= 0.08
    case = study.cases[-1]
    mask = study.truth.mask(case, "lesion")
    assert study.numbers("exact")[case.id, "lesion_fraction"].value == pytest.approx(mask.mean(), abs=1e-12)


def test_pieces_without_a_mark_are_counted(tmp_path: Path) -> None:
    """Pieces of 400, 16 and, at a corner of the first, 1 pixel: two pieces, of which erosion marks the large one."""
    mask = np.zeros((40, 40), np.uint8)
    mask[4:24, 4:24] = mask[30:34, 30:34] = mask[24, 24] = 255
    for name in ("a.png", "a_mask.png"):
        Image.fromarray(mask).save(tmp_path / name)
    import_pairs(tmp_path, None, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    whole, each = weaken(study, "erosion:8%", "e8"), weaken(study, "erosion:8%", "e8c", per="component")
    assert (whole.components, whole.unmarked) == (2, 1)
    assert "1 of 2 connected components have no mark" in str(whole)
    assert (each.components, each.unmarked) == (2, 0)
    assert "no mark" not in str(each)
