"""Pairs of files made into a study: what is stored, what is reported, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from tallymark.data.settings import SplitSettings
from tallymark.data.study import Study
from tallymark.datasets.busi import import_busi
from tallymark.datasets.pairs import ImportReport, import_pairs, parse_codes
from tallymark.datasets.phantom import make_phantom_volume, write_phantoms
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError


def _png(path: Path, pixels: object, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    (picture if mode is None else picture.convert(mode)).save(path)
    return path


def _folder(root: Path, count: int = 3, shape: tuple[int, int] = (4, 6)) -> Path:
    """Grey images a, b, c, ... whose masks cover 1, 2, 3, ... pixels."""
    for index in range(count):
        name = chr(ord("a") + index)
        mask = np.zeros(shape, dtype=np.uint8)
        mask.flat[: index + 1] = 255
        _png(root / "images" / f"{name}.png", np.full(shape, 10 * index + 1))
        _png(root / "masks" / f"{name}_mask.png", mask)
    return root


def test_a_study_is_made_and_the_masks_read_back(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    report = import_pairs(root / "images", root / "masks", root / "study", structure="cyst", name="three")
    study = Study.open(root / "study")
    assert study.settings.name == "three"
    assert study.structures == ("cyst",)
    assert [(s.name, s.kind, s.of) for s in study.statistics] == [("cyst_fraction", "area_fraction", ("cyst",))]
    assert [case.id for case in study.cases] == ["a", "b", "c"]
    assert [int(study.truth.mask(case, "cyst").sum()) for case in study.cases] == [1, 2, 3]
    assert study.number_variants() == ()
    assert (report.cases, report.groups, report.channels, report.with_structure) == (3, 3, 1, {"cyst": 3})
    assert sum(report.splits.values()) == 3
    assert "each image counts as a patient of its own" in str(report)


def test_several_masks_are_a_union_and_any_colour_mode_will_do(tmp_path: Path) -> None:
    left, right = np.zeros((4, 6), dtype=np.uint8), np.zeros((4, 6), dtype=np.uint8)
    left[0, 0], right[1, 1:3] = 255, 255
    _png(tmp_path / "x.png", np.zeros((4, 6)))
    _png(tmp_path / "x_mask.png", left, "RGBA")
    _png(tmp_path / "x_mask_1.png", right, "1")
    report = import_pairs(tmp_path, None, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    assert np.array_equal(study.truth.mask(study.case("x"), "lesion"), (left + right) > 0)
    assert report.several_masks == 1


def test_groups_are_kept_together(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path, 40, size=16, normals=0.2)
    report = import_pairs(root / "images", root / "masks", root / "study", groups=root / "groups.csv")
    study = Study.open(root / "study")
    rows = [line.split(",") for line in (root / "groups.csv").read_text().splitlines()[1:]]
    assert {case.id: case.group for case in study.cases} == dict(rows)
    assert report.groups == len({group for _, group in rows}) < 40
    assert report.notes == ()
    assert report.empty + report.with_structure["lesion"] == 40
    assert report.empty > 0
    left = import_pairs(root / "images", root / "masks", root / "less", groups=root / "groups.csv", skip_empty=True)
    assert (left.cases, left.left_out, left.empty) == (40 - report.empty, report.empty, 0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,group\na,1\nb,1\n", "1: c"),
        ("id,group\na,1\nb,1\nc,2\nc,3\n", "'c' is in two groups"),
        ("id,group\na,1\nb,\nc,2\n", "row 3, column group: the group is missing"),
        ("name,group\na,1\n", "the column 'id' is missing"),
    ],
)
def test_a_table_of_groups_must_be_complete(tmp_path: Path, table: str, message: str) -> None:
    root = _folder(tmp_path)
    groups = tmp_path / "groups.csv"
    groups.write_text(table)
    with pytest.raises(StudyError, match=message):
        import_pairs(root / "images", root / "masks", root / "study", groups=groups)
    assert not (root / "study").exists()


def test_images_without_masks_are_kept_when_allowed(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    _png(root / "images" / "z.png", np.full((4, 6), 9))
    with pytest.raises(StudyError, match=r"z\.png"):
        import_pairs(root / "images", root / "masks", root / "study")
    report = import_pairs(root / "images", root / "masks", root / "study", allow_missing=True, skip_empty=True)
    assert (report.cases, report.unmasked) == (4, 1)
    study = Study.open(root / "study")
    assert not study.truth.has("z", "lesion")


def test_colour_is_found_by_looking(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    grey = np.repeat(np.arange(24).reshape(4, 6, 1), 3, axis=2)
    _png(root / "images" / "a.png", grey)
    assert import_pairs(root / "images", root / "masks", root / "one").channels == 1
    grey[0, 0] = 9, 0, 0
    _png(root / "images" / "a.png", grey)
    assert import_pairs(root / "images", root / "masks", root / "three").channels == 3
    assert import_pairs(root / "images", root / "masks", root / "told", channels=1).channels == 1


def test_the_same_picture_in_two_groups_is_told(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    (root / "images" / "c.png").write_bytes((root / "images" / "a.png").read_bytes())
    report = import_pairs(root / "images", root / "masks", root / "study")
    assert "2 images are the same file as an image of another group: a, c." in report.notes


def test_what_cannot_be_used_is_named_in_one_error(tmp_path: Path) -> None:
    root = _folder(tmp_path, count=9)
    for name in "abcdefg":
        path = root / "images" / f"{name}.png"
        path.write_bytes(path.read_bytes()[:40])
    _png(root / "masks" / "h_mask.png", np.zeros((4, 5)))
    with pytest.raises(ReadError) as error:
        import_pairs(root / "images", root / "masks", root / "study")
    text = str(error.value)
    assert "7 that cannot be read" in text
    assert "and 2 more" in text
    assert "h_mask.png is 4 x 5, its image 4 x 6" in text
    assert not (root / "study").exists()


def test_sizes_that_differ_are_refused(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    _png(root / "masks" / "b_mask.png", np.zeros((6, 4)))
    with pytest.raises(GeometryError, match="is 6 x 4, its image 4 x 6"):
        import_pairs(root / "images", root / "masks", root / "study")


def test_a_grey_picture_is_no_mask(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    _png(root / "masks" / "b_mask.png", np.arange(24).reshape(4, 6))
    with pytest.raises(ReadError, match="not a binary mask"):
        import_pairs(root / "images", root / "masks", root / "study")


def test_label_images_hold_several_structures(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 1, 2], [0, 0, 3, 7]])
    _png(tmp_path / "images" / "a.png", np.zeros((2, 4)))
    _png(tmp_path / "labels" / "a.png", labels)
    codes = parse_codes("kidney=1+2, tumour=2, cyst=3, stone=4")
    report = import_pairs(tmp_path / "images", tmp_path / "labels", tmp_path / "study", codes=codes)
    study = Study.open(tmp_path / "study")
    masks = {name: study.truth.mask(study.case("a"), name) for name in study.structures}
    assert np.array_equal(masks["kidney"], np.isin(labels, (1, 2)))
    assert np.array_equal(masks["tumour"], labels == 2)
    assert report.with_structure == {"kidney": 1, "tumour": 1, "cyst": 1, "stone": 0}
    assert [s.name for s in study.statistics] == [
        "kidney_fraction",
        "tumour_fraction",
        "cyst_fraction",
        "stone_fraction",
    ]
    assert "Labels that belong to no structure: 7." in report.notes


def test_phantoms_of_two_structures(tmp_path: Path) -> None:
    root = write_phantoms(tmp_path, 6, size=64, normals=0.0, structures=2)
    codes = parse_codes("lesion=1,muscle=2")
    report = import_pairs(root / "images", root / "masks", root / "study", codes=codes)
    assert report.with_structure == {"lesion": 6, "muscle": 6}
    study = Study.open(root / "study")
    for case in study.cases:
        assert not (study.truth.mask(case, "lesion") & study.truth.mask(case, "muscle")).any()


@pytest.mark.parametrize("text", ["", "kidney", "kidney=", "kidney=0", "kidney=1,kidney=2", "=1", "kidney=1;2"])
def test_codes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ConfigError, match="codes"):
        parse_codes(text)


def _volume(path: Path, pixels: np.ndarray, spacing: tuple[float, ...] = (0.5, 0.5, 2.0)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(pixels)
    image.SetSpacing(spacing)
    SimpleITK.WriteImage(image, str(path))


def test_volumes_bring_their_spacing_and_must_share_a_grid(tmp_path: Path) -> None:
    volume, mask = make_phantom_volume(0, (16, 18, 20))
    _volume(tmp_path / "images" / "v.nii.gz", volume)
    _volume(tmp_path / "masks" / "v_seg.nii.gz", mask.astype(np.uint8))
    import_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "study")
    study = Study.open(tmp_path / "study")
    assert study.settings.image.dimension == 3
    assert study.case("v").spacing == pytest.approx((2.0, 0.5, 0.5))
    assert np.array_equal(study.truth.mask(study.case("v"), "lesion"), mask)
    import_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "unknown", keep_spacing=False)
    assert Study.open(tmp_path / "unknown").case("v").spacing is None

    _volume(tmp_path / "masks" / "v_seg.nii.gz", mask.astype(np.uint8), spacing=(0.5, 0.5, 1.0))
    with pytest.raises(GeometryError, match="another spacing, origin or orientation"):
        import_pairs(tmp_path / "images", tmp_path / "masks", tmp_path / "other")

    _volume(tmp_path / "mixed" / "v.nrrd", volume)
    _png(tmp_path / "mixed" / "p.png", np.zeros((4, 4)))
    with pytest.raises(GeometryError, match="mixed"):
        import_pairs(tmp_path / "mixed", None, tmp_path / "other", allow_missing=True)


def test_a_study_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    import_pairs(root / "images", root / "masks", root / "study")
    before = (root / "study" / "cases.csv").read_bytes()
    with pytest.raises(StudyError, match="holds a study already"):
        import_pairs(root / "images", root / "masks", root / "study", structure="other")
    assert (root / "study" / "cases.csv").read_bytes() == before
    split = SplitSettings(train=0, select=0, calibrate=0, test=1)
    report = import_pairs(root / "images", root / "masks", root / "study", overwrite=True, split=split)
    assert report.splits["test"] == 3


def test_nothing_but_empty_masks_is_refused(tmp_path: Path) -> None:
    _png(tmp_path / "a.png", np.zeros((4, 4)))
    _png(tmp_path / "a_mask.png", np.zeros((4, 4)))
    with pytest.raises(StudyError, match="no image is left"):
        import_pairs(tmp_path, None, tmp_path / "study", skip_empty=True)


def test_progress_sees_every_image(tmp_path: Path) -> None:
    root = _folder(tmp_path)
    seen = []

    def track(items):  # type: ignore[no-untyped-def]
        seen.append(len(items))
        return items

    import_pairs(root / "images", root / "masks", root / "study", track=track)
    assert seen == [3]


def _grey(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def _mode(path: Path) -> str:
    with Image.open(path) as picture:
        return picture.mode


def test_busi_as_it_is_published(busi: ImportReport) -> None:
    assert (busi.cases, busi.with_structure, busi.empty, busi.channels) == (619, {"lesion": 516}, 103, 1)
    assert busi.strata == {"benign": 350, "malignant": 166, "normal": 103}
    assert busi.notes == ()
    study = Study.open(busi.study)
    groups_of = {split: {case.group for case in study.split(split)} for split in busi.splits}
    assert (
        sum(len(groups) for groups in groups_of.values()) == len(set.union(*groups_of.values())) == busi.groups == 475
    )
    several = [case for case in study.cases if len(study.truth.rows(case.id, "lesion")) > 1]
    assert len(several) == busi.several_masks == 13
    for case in several:
        paths = [row.path for row in study.truth.rows(case.id, "lesion")]
        union = np.logical_or.reduce([_grey(path) > 0 for path in paths])
        assert np.array_equal(study.truth.mask(case, "lesion"), union)
    rgba = [
        case for case in study.cases if any(_mode(row.path) == "RGBA" for row in study.truth.rows(case.id, "lesion"))
    ]
    assert len(rgba) == 2
    for case in rgba:
        assert 0 < study.truth.mask(case, "lesion").mean() < 0.5
    fractions = [study.truth.mask(case, "lesion").mean() for case in study.cases[:200:2]]
    assert 0.02 < np.median(fractions) < 0.1


def test_what_is_not_busi_is_refused(tmp_path: Path) -> None:
    _png(tmp_path / "benign" / "a.png", np.zeros((4, 4)))
    with pytest.raises(ReadError, match="no folder malignant"):
        import_busi(tmp_path, tmp_path / "study")
