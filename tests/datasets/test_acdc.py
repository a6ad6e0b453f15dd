"""ACDC: slices and volumes, scribbles with their own codes, a spacing that is not known unless it is declared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from tallymark.data.marks import EXCLUDED
from tallymark.data.study import Study
from tallymark.data.tables import read_table
from tallymark.datasets.acdc import import_acdc
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError, TallymarkError

NAIVE = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def _write(path: Path, values: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
    volume = SimpleITK.GetImageFromArray(values)
    volume.SetDirection(NAIVE)
    volume.SetSpacing(spacing)
    SimpleITK.WriteImage(volume, str(path))


def _labels() -> np.ndarray:
    """Three slices of 4 x 5; the last is empty."""
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[:2, 1, 1:4] = [1, 2, 3]
    return labels


def _scribble() -> np.ndarray:
    """4 is not marked; the last slice has a scribble of the background alone, the first has none."""
    scribble = np.full((3, 4, 5), 4, np.uint8)
    scribble[1, 1, 1:4] = [1, 2, 3]
    scribble[1, 3] = 0
    scribble[2, 0, :2] = 0
    return scribble


def _patients(root: Path, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), count: int = 2) -> Path:
    for patient in range(1, count + 1):
        for frame in (1, 12):
            folder = root / f"patient{patient:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            name = f"patient{patient:03d}_frame{frame:02d}"
            image = np.arange(60, dtype=np.int16).reshape(3, 4, 5) + 100 * patient
            _write(folder / f"{name}_image.nii.gz", image, spacing)
            _write(folder / f"{name}_label.nii.gz", _labels(), spacing)
            _write(folder / f"{name}_scribble.nii.gz", _scribble(), spacing)
    return root


def test_every_slice_is_an_image(tmp_path: Path) -> None:
    report = import_acdc(_patients(tmp_path / "acdc"), tmp_path / "study")
    study = Study.open(tmp_path / "study")
    assert (report.cases, report.groups, report.empty) == (12, 2, 4)
    assert report.with_structure == {"RV": 8, "MYO": 8, "LV": 8}
    case = study.case("patient002_frame12_slice_01")
    assert case.group == "patient002"
    image = case.read()
    assert image.pixels.dtype == np.int16
    assert image.pixels[..., 0].tolist() == (np.arange(20, 40).reshape(4, 5) + 200).tolist()
    assert np.argwhere(study.truth.mask(case, "LV")).tolist() == [[1, 3]]
    assert image.spacing is None
    assert "size of a pixel is unknown in 12 of 12" in report.notes[0]
    rows = read_table(study.folder / "sources.csv", ("id", "axis", "slice"), extra=True).set_index("id")
    assert tuple(rows.loc[case.id, ["axis", "slice"]]) == ("2", "1")


def test_scribbles_are_real_marks_and_four_is_nothing(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc")
    report = import_acdc(root, tmp_path / "study")
    marks = Study.open(tmp_path / "study").marks
    assert marks.sets()["scribble"].origin == "real"
    assert len(marks.case_ids("scribble")) == 8
    found = marks.labels("patient001_frame01_slice_01", "scribble")
    assert {name: np.argwhere(mask).tolist() for name, mask in found.items()} == {
        "RV": [[1, 1]],
        "MYO": [[1, 2]],
        "LV": [[1, 3]],
        EXCLUDED: [[3, column] for column in range(5)],
    }
    assert marks.labels("patient001_frame01_slice_00", "scribble") == {}
    assert "Scribbles on 8 images" in report.notes[-1]
    import_acdc(root, tmp_path / "without", background_marks=False)
    marks = Study.open(tmp_path / "without").marks
    assert len(marks.case_ids("scribble")) == 4
    assert EXCLUDED not in marks.labels("patient001_frame01_slice_01", "scribble")


def test_volumes_stay_where_they_are(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc")
    report = import_acdc(root, tmp_path / "study", slices=False, spacing=(10.0, 1.5, 1.25))
    study = Study.open(tmp_path / "study")
    assert (report.cases, report.groups, study.settings.image.dimension) == (4, 2, 3)
    case = study.case("patient001_frame12")
    assert case.image == (root / "patient001" / "patient001_frame12_image.nii.gz").resolve()
    assert case.read().spacing == (10.0, 1.5, 1.25)
    assert np.argwhere(study.truth.mask(case, "MYO")).tolist() == [[0, 1, 2], [1, 1, 2]]
    assert study.marks.labels(case.id, "scribble")[EXCLUDED].sum() == 7
    assert sorted(path.name for path in study.folder.iterdir()) == [
        "cases.csv",
        "marks.sqlite",
        "statistics.csv",
        "study.toml",
        "truth.csv",
    ]


def test_a_real_spacing_is_believed_a_placeholder_is_not(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc", spacing=(1.5, 1.25, 10.0))
    import_acdc(root, tmp_path / "study")
    assert {case.spacing for case in Study.open(tmp_path / "study").cases} == {(1.25, 1.5)}
    import_acdc(root, tmp_path / "declared", spacing=(8.0, 2.0, 3.0))
    assert {case.spacing for case in Study.open(tmp_path / "declared").cases} == {(2.0, 3.0)}


@pytest.mark.parametrize("slices", [True, False])
def test_a_patient_under_two_names_is_one_group(tmp_path: Path, slices: bool) -> None:
    """One volume of the second patient is that of the fourth, byte by byte; all images of both go together."""
    root = _patients(tmp_path / "acdc", count=5)
    for what in ("image", "label", "scribble"):
        shutil.copy(
            root / "patient002" / f"patient002_frame01_{what}.nii.gz",
            root / "patient004" / f"patient004_frame12_{what}.nii.gz",
        )
    report = import_acdc(root, tmp_path / "study", slices=slices)
    study = Study.open(tmp_path / "study")
    assert report.groups == 4
    assert {case.group for case in study.cases if case.id.startswith("patient004")} == {"patient002"}
    assert len({case.split for case in study.cases if case.group == "patient002"}) == 1
    note = "Groups that share an identical image were joined, under the first name: patient002 = patient004."
    assert note in report.notes
    assert note in str(report)


def test_blank_slices_of_different_patients_join_nothing(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc")
    for patient in (1, 2):
        image = np.arange(60, dtype=np.int16).reshape(3, 4, 5) + 100 * patient
        image[2] = 0
        _write(root / f"patient{patient:03d}" / f"patient{patient:03d}_frame01_image.nii.gz", image)
    report = import_acdc(root, tmp_path / "study")
    digests = [case.sha256 for case in Study.open(tmp_path / "study").cases if case.id.endswith("frame01_slice_02")]
    assert digests[0] == digests[1]
    assert report.groups == 2
    assert not any("identical" in note for note in report.notes)


def test_the_names_of_acdc_itself(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc")
    for path in sorted(root.rglob("*.nii.gz")):
        name = path.name.replace("_image", "").replace("_label", "_gt")
        if "_scribble" in name:
            path.unlink()
        else:
            path.rename(path.with_name(name))
    _write(root / "patient001" / "patient001_4d.nii.gz", _labels())
    report = import_acdc(root, tmp_path / "study")
    assert report.cases == 12
    assert Study.open(tmp_path / "study").marks.sets() == {}


def _no_label(folder: Path) -> None:
    (folder / "patient001_frame01_label.nii.gz").unlink()


def _short_label(folder: Path) -> None:
    _write(folder / "patient001_frame01_label.nii.gz", _labels()[:2])


def _moved_scribble(folder: Path) -> None:
    _write(folder / "patient001_frame01_scribble.nii.gz", _scribble(), spacing=(1.0, 1.0, 9.0))


def _strange_label(folder: Path) -> None:
    _write(folder / "patient001_frame01_label.nii.gz", _labels() + 3)


def _strange_scribble(folder: Path) -> None:
    _write(folder / "patient001_frame01_scribble.nii.gz", _scribble() + 1)


def _truncated(folder: Path) -> None:
    path = folder / "patient001_frame01_scribble.nii.gz"
    path.write_bytes(path.read_bytes()[:-12])


def _twice(folder: Path) -> None:
    (folder / "copy").mkdir()
    for path in folder.glob("patient001_frame01_*"):
        shutil.copy(path, folder / "copy" / path.name)


def _plane(folder: Path) -> None:
    for what, values in (("image", _labels()), ("label", _labels()), ("scribble", _scribble())):
        flat = SimpleITK.GetImageFromArray(values[0])
        SimpleITK.WriteImage(flat, str(folder / f"patient001_frame01_{what}.nii.gz"))


@pytest.mark.parametrize("slices", [True, False])
@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (_no_label, ReadError, r"volumes without labels; found 1 missing: patient001_frame01_label\.nii\.gz"),
        (_short_label, GeometryError, r"patient001_frame01_label\.nii\.gz: the labels do not have the shape"),
        (_moved_scribble, GeometryError, r"patient001_frame01_scribble\.nii\.gz: .*do not lie where"),
        (
            _strange_label,
            StudyError,
            r"patient001_frame01_label\.nii\.gz: these labels have no meaning here; found 4, 5",
        ),
        (_strange_scribble, StudyError, r"patient001_frame01_scribble\.nii\.gz: .*found 5"),
        (_truncated, ReadError, r"patient001_frame01_scribble\.nii\.gz"),
        (_twice, ReadError, "this volume is there twice"),
        (_plane, GeometryError, "no volume"),
    ],
)
def test_volumes_that_cannot_be_used(
    spoil: Callable[[Path], None], error: type[TallymarkError], says: str, slices: bool, tmp_path: Path
) -> None:
    root = _patients(tmp_path / "acdc")
    spoil(root / "patient001")
    with pytest.raises(error, match=says):
        import_acdc(root, tmp_path / "study", slices=slices)
    assert not (tmp_path / "study").exists(), "nothing is left behind"


def test_other_folders_and_spacings_are_refused(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="not the ACDC data set"):
        import_acdc(tmp_path / "empty", tmp_path / "study")
    with pytest.raises(ReadError, match="no such folder"):
        import_acdc(tmp_path / "nowhere", tmp_path / "study")
    for spacing in [(1.5, 1.5), (10.0, 1.5, 0.0), (10.0, 1.5, float("nan"))]:
        with pytest.raises(ConfigError, match="this is no spacing"):
            import_acdc(root, tmp_path / "study", spacing=spacing)
    import_acdc(root, tmp_path / "study")
    with pytest.raises(StudyError, match="holds a study already"):
        import_acdc(root, tmp_path / "study")


def test_marks_of_an_earlier_study_in_this_folder_are_not_mixed_with_these(tmp_path: Path) -> None:
    root = _patients(tmp_path / "acdc")
    import_acdc(root, tmp_path / "study", slices=False)
    for name in ("study.toml", "cases.csv", "statistics.csv", "truth.csv"):
        (tmp_path / "study" / name).unlink()
    with pytest.raises(StudyError, match="there is a mark set 'scribble' already"):
        import_acdc(root, tmp_path / "study", slices=False)


def test_real_volumes_and_scribbles(shared_data: Path, tmp_path: Path) -> None:
    """One patient: labels against the files themselves, and scribbles that lie where people meant them."""
    import_acdc(shared_data / "acdc" / "patient001", tmp_path / "study")
    study = Study.open(tmp_path / "study")
    path = shared_data / "acdc" / "patient001" / "patient001_frame01_"
    label, scribble = (
        SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(f"{path}{what}.nii.gz")) for what in ("label", "scribble")
    )
    names = {1: "RV", 2: "MYO", 3: "LV"}
    inside = total = 0
    for index in range(len(label)):
        case = study.case(f"patient001_frame01_slice_{index:02d}")
        assert case.spacing is None
        marks = study.marks.labels(case.id, "scribble")
        for code, name in names.items():
            truth = study.truth.mask(case, name)
            assert (truth == (label[index] == code)).all()
            marked = marks.get(name, np.zeros_like(truth))
            assert (marked == (scribble[index] == code)).all()
            inside, total = inside + int((marked & truth).sum()), total + int(marked.sum())
        assert marks[EXCLUDED].sum() == (scribble[index] == 0).sum()
    assert inside / total > 0.9
