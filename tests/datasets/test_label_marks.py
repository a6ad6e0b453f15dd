"""Marks from any tool: every label explained, every file fitted to its case, all of them or none."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from tallymark.data.cases import Case
from tallymark.data.marks import EXCLUDED
from tallymark.data.settings import ImageSettings, StudySettings
from tallymark.data.study import Study
from tallymark.datasets.label_marks import import_marks, parse_label_codes
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError, TallymarkError

LABELS = np.array([[0, 1, 1], [2, 0, 3]], np.uint8)
CODES = {1: "kidney", 2: "tumour", 3: EXCLUDED}


def _pictures(folder: Path, count: int = 3) -> Study:
    folder.mkdir(exist_ok=True)
    cases = []
    for n in range(count):
        Image.fromarray(np.full((2, 3), n, np.uint8)).save(folder / f"scan{n}.png")
        cases.append(Case(f"scan{n}", folder / f"scan{n}.png"))
    return Study.create(folder / "study", StudySettings(name="s", structures=("kidney", "tumour")), cases)


def _volume(values: np.ndarray, **changes: Any) -> SimpleITK.Image:
    volume = SimpleITK.GetImageFromArray(values)
    volume.SetSpacing(changes.get("spacing", (0.8, 0.7, 5.0)))
    volume.SetOrigin(changes.get("origin", (-10.0, 4.0, 30.0)))
    volume.SetDirection(changes.get("direction", (0, 0, 1, 0, 1, 0, -1, 0, 0)))
    return volume


def _volumes(folder: Path) -> Study:
    folder.mkdir(exist_ok=True)
    path = folder / "scan0.nii.gz"
    SimpleITK.WriteImage(_volume(np.arange(24, dtype=np.int16).reshape(4, 2, 3)), str(path))
    settings = StudySettings(name="s", structures=("kidney", "tumour"), image=ImageSettings(dimension=3))
    return Study.create(folder / "study", settings, [Case("scan0", path)])


def _label_volume() -> np.ndarray:
    labels = np.zeros((4, 2, 3), np.uint8)
    labels[1, 0] = [1, 2, 3]
    return labels


def _folder(root: Path, files: dict[str, np.ndarray]) -> Path:
    folder = root / "labels"
    folder.mkdir()
    for name, labels in files.items():
        if name.endswith(".tif"):
            tifffile.imwrite(folder / name, labels)
        else:
            Image.fromarray(labels).save(folder / name)
    return folder


def test_every_tool_s_label_images_become_marks(tmp_path: Path) -> None:
    study = _pictures(tmp_path)
    palette = Image.fromarray(LABELS, "P")
    palette.putpalette([200, 10, 30, 0, 0, 255, 9, 9, 9, 1, 1, 1])
    folder = _folder(tmp_path, {"scan0.png": LABELS, "scan1.tif": LABELS.astype(np.uint16)})
    palette.save(folder / "scan2.png")
    (folder / "read me.txt").write_text("labels of reader 1")
    report = import_marks(study, folder, "reader1", CODES, author="reader 1")
    for case in study.cases:
        marks = study.marks.labels(case.id, "reader1")
        assert {name: mask.tolist() for name, mask in marks.items()} == {
            "kidney": (LABELS == 1).tolist(),
            "tumour": (LABELS == 2).tolist(),
            EXCLUDED: (LABELS == 3).tolist(),
        }
    assert study.marks.sets()["reader1"].origin == "real"
    assert (report.images, report.marked, report.without_file) == (3, 3, 0)
    assert report.structures == {"kidney": 3, "tumour": 3, EXCLUDED: 3}
    assert "marks on 3 of 3 label images, now in the set 'reader1'" in str(report)


def test_what_is_unmarked_is_said_and_never_background(tmp_path: Path) -> None:
    """Scribbles as ACDC stores them: 0 is a scribble of the background, 4 is nothing."""
    study = _pictures(tmp_path, 1)
    folder = _folder(tmp_path, {"scan0.png": np.array([[4, 4, 0], [1, 4, 4]], np.uint8)})
    import_marks(study, folder, "scribble", {0: EXCLUDED, 1: "kidney"}, unmarked=[4])
    marks = study.marks.labels("scan0", "scribble")
    assert marks[EXCLUDED].tolist() == [[False, False, True], [False, False, False]]
    assert marks["kidney"].tolist() == [[False, False, False], [True, False, False]]
    assert marks.keys() == {EXCLUDED, "kidney"}


def test_some_may_be_marked_and_some_not(tmp_path: Path) -> None:
    study = _pictures(tmp_path)
    folder = _folder(tmp_path, {"scan0.png": LABELS, "scan2.png": np.zeros((2, 3), np.uint8)})
    report = import_marks(study, folder, "half", CODES, allow_missing=True)
    assert (report.images, report.marked, report.without_file) == (2, 1, 1)
    assert study.marks.case_ids("half") == ("scan0",)
    assert "no label image of 1 case" in str(report)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_volumes_on_the_grid_of_their_image(suffix: str, kind: type, tmp_path: Path) -> None:
    study = _volumes(tmp_path)
    folder = _folder(tmp_path, {})
    SimpleITK.WriteImage(
        _volume(_label_volume().astype(kind), origin=(-10.0004, 4.0, 30.0)), str(folder / f"scan0{suffix}")
    )
    import_marks(study, folder, "v", CODES)
    assert np.argwhere(study.marks.labels("scan0", "v")["tumour"]).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    "changes",
    [
        {"spacing": (0.8, 0.7, 4.9)},
        {"spacing": (1.0, 1.0, 1.0)},
        {"origin": (-10.0, 4.0, 31.0)},
        {"origin": (0.0, 0.0, 0.0)},
        {"direction": (1, 0, 0, 0, 1, 0, 0, 0, 1)},
        {"direction": (0, 0, 1, 0, -1, 0, -1, 0, 0)},
    ],
)
def test_another_grid_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    study = _volumes(tmp_path)
    folder = _folder(tmp_path, {})
    SimpleITK.WriteImage(_volume(_label_volume(), **changes), str(folder / "scan0.nii.gz"))
    with pytest.raises(GeometryError, match=r"scan0\.nii\.gz: the labels do not lie where their image lies") as error:
        import_marks(study, folder, "v", CODES)
    assert error.value.expected is not None
    assert "origin -10 4 30" in error.value.expected
    assert study.marks.sets() == {}


def _write_truncated(folder: Path) -> None:
    SimpleITK.WriteImage(_volume(_label_volume()), str(folder / "scan0.nii.gz"))
    data = (folder / "scan0.nii.gz").read_bytes()
    (folder / "scan0.nii.gz").write_bytes(data[: len(data) // 2])


def _write_short(folder: Path) -> None:
    """A sound gzip stream around half a volume."""
    SimpleITK.WriteImage(_volume(_label_volume()), str(folder / "scan0.nii"))
    data = (folder / "scan0.nii").read_bytes()
    (folder / "scan0.nii").unlink()
    (folder / "scan0.nii.gz").write_bytes(gzip.compress(data[:-10]))


def _write_plane(folder: Path) -> None:
    Image.fromarray(LABELS).save(folder / "scan0.png")


def _write_slabs(folder: Path) -> None:
    SimpleITK.WriteImage(_volume(_label_volume()[:3]), str(folder / "scan0.nii.gz"))


def _write_turned(folder: Path) -> None:
    SimpleITK.WriteImage(_volume(np.ascontiguousarray(_label_volume().T)), str(folder / "scan0.nii.gz"))


def _write_halves(folder: Path) -> None:
    SimpleITK.WriteImage(_volume(_label_volume() + np.float32(0.5)), str(folder / "scan0.nii.gz"))


def _write_colours(folder: Path) -> None:
    values = np.zeros((4, 2, 3, 3), np.uint8)
    values[..., 1] = 7
    volume = SimpleITK.GetImageFromArray(values, isVector=True)
    volume.CopyInformation(_volume(_label_volume()))
    SimpleITK.WriteImage(volume, str(folder / "scan0.nrrd"))


def _write_four_axes(folder: Path) -> None:
    SimpleITK.WriteImage(
        SimpleITK.GetImageFromArray(np.zeros((2, 4, 2, 3), np.uint8), isVector=False), str(folder / "scan0.nii")
    )


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (_write_truncated, ReadError),
        (_write_short, ReadError),
        (_write_plane, GeometryError),
        (_write_slabs, GeometryError),
        (_write_turned, GeometryError),
        (_write_halves, ReadError),
        (_write_colours, ReadError),
        (_write_four_axes, ReadError),
    ],
)
def test_volumes_that_cannot_be_used(write: Any, error: type[TallymarkError], tmp_path: Path) -> None:
    study = _volumes(tmp_path)
    folder = _folder(tmp_path, {})
    write(folder)
    with pytest.raises(error, match="scan0"):
        import_marks(study, folder, "v", CODES)
    assert study.marks.sets() == {}


FINE = {f"scan{n}.png": LABELS for n in range(3)}


@pytest.mark.parametrize(
    ("files", "error", "says"),
    [
        (FINE | {"scan1.png": LABELS[:1]}, GeometryError, r"scan1\.png: the labels do not have the shape"),
        (FINE | {"scan1.png": LABELS.T.copy()}, GeometryError, r"found \(3, 2\); expected \(2, 3\)"),
        (FINE | {"scan1.png": LABELS * 80}, StudyError, r"scan1\.png: labels that were not explained; found 80, 160"),
        (FINE | {"scan2.png": LABELS + 1}, StudyError, r"scan2\.png: labels that were not explained; found 4"),
        (FINE | {"scan2.png": np.stack([LABELS, LABELS * 2, LABELS], -1)}, ReadError, r"scan2\.png: these colours"),
        (FINE | {"scan3.png": LABELS}, StudyError, "1 label images of no case of the study: scan3"),
        (FINE | {"Scan0.tif": LABELS}, StudyError, "1 label images of no case of the study: Scan0"),
        (FINE | {"scan0_mask.png": LABELS}, StudyError, "of no case of the study: scan0_mask"),
        (FINE | {"scan0.tif": LABELS}, StudyError, "1 cases with several label images: scan0"),
        ({"scan0.png": LABELS}, StudyError, "2 cases without a label image: scan1, scan2; .*--allow-missing"),
        ({}, ReadError, "no image is in this folder"),
        (dict.fromkeys(FINE, LABELS * 0), StudyError, "nothing is marked in these label images"),
        (FINE | {"scan0.png": LABELS + 9, "scan1.png": LABELS + 9}, StudyError, r"found 2: .*scan0.*scan1"),
    ],
)  # fmt: skip
def test_label_images_that_do_not_fit(
    files: dict[str, np.ndarray], error: type[TallymarkError], says: str, tmp_path: Path
) -> None:
    study = _pictures(tmp_path)
    with pytest.raises(error, match=says):
        import_marks(study, _folder(tmp_path, files), "bad", CODES)
    assert study.marks.sets() == {}, "all or nothing"


def test_a_volume_is_no_label_image_of_a_picture(tmp_path: Path) -> None:
    study = _pictures(tmp_path, 1)
    folder = _folder(tmp_path, {})
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LABELS), str(folder / "scan0.nii.gz"))
    with pytest.raises(GeometryError, match="a picture"):
        import_marks(study, folder, "v", CODES)


def test_a_jpeg_of_labels_is_refused_for_its_strange_labels(tmp_path: Path) -> None:
    study = _pictures(tmp_path, 1)
    big = Image.fromarray(np.kron(LABELS, np.ones((37, 37), np.uint8)) * 60)
    big.save(tmp_path / "scan0.png")
    study = Study.create(tmp_path / "other", study.settings, [Case("scan0", tmp_path / "scan0.png")])
    folder = _folder(tmp_path, {})
    big.save(folder / "scan0.jpg", quality=60)
    with pytest.raises(StudyError, match="labels that were not explained"):
        import_marks(study, folder, "v", {60: "kidney", 120: "tumour", 180: EXCLUDED})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such folder"):
        import_marks(_pictures(tmp_path), tmp_path / "nowhere", "v", CODES)


@pytest.mark.parametrize(
    ("codes", "unmarked", "error", "says"),
    [
        ({}, (0,), ConfigError, "no label is explained"),
        ({0: "kidney"}, (0,), ConfigError, "the label 0 means two things; found kidney and unmarked"),
        ({1: "liver"}, (0,), StudyError, "unknown structure; found 'liver'; expected kidney, tumour"),
        (CODES, (4,), StudyError, "labels that were not explained; found 0"),
    ],
)
def test_codes_that_do_not_fit(
    codes: dict[int, str], unmarked: tuple[int, ...], error: type[TallymarkError], says: str, tmp_path: Path
) -> None:
    study = _pictures(tmp_path, 1)
    with pytest.raises(error, match=says):
        import_marks(study, _folder(tmp_path, {"scan0.png": LABELS}), "bad", codes, unmarked=unmarked)
    assert study.marks.sets() == {}


@pytest.mark.parametrize(
    ("codes", "none"),
    [
        (["lesion"], []),
        (["=1"], []),
        (["lesion="], []),
        (["lesion=a"], []),
        (["lesion=1,2"], []),
        (["lesion=1.5"], []),
        (["lesion=1+"], []),
        (["lesion=1", "cyst=1"], []),
        (["lesion=1+1"], []),
        (["lesion=1", "cyst=2"], [2]),
        ([], [3, 3]),
    ],
)
def test_codes_that_cannot_be_read(codes: list[str], none: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read|means two things"):
        parse_label_codes(codes, none)


def test_real_marks_are_never_overwritten(tmp_path: Path) -> None:
    study = _pictures(tmp_path, 1)
    folder = _folder(tmp_path, {"scan0.png": LABELS})
    import_marks(study, folder, "reader1", CODES)
    before = study.marks.fingerprint("reader1", ["scan0"])
    with pytest.raises(StudyError, match="there is a mark set 'reader1' already"):
        import_marks(study, folder, "reader1", CODES)
    study.marks.add_raster("scan0", "simulated", "kidney", LABELS == 1, origin="simulated")
    with pytest.raises(StudyError, match="1 simulated marks"):
        import_marks(study, folder, "simulated", CODES)
    assert study.marks.fingerprint("reader1", ["scan0"]) == before
