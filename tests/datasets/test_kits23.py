"""KiTS23 in its official layout: the right slice, the right way up, in millimetres; and prepared slices."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from tallymark.data.images import file_sha256, read_image, read_labels
from tallymark.data.study import Study
from tallymark.data.tables import read_table
from tallymark.datasets.kits23 import import_kits23
from tallymark.datasets.kits_slices import import_kits_slices
from tallymark.datasets.volumes import axial_stack
from tallymark.datasets.weaken import weaken
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError, TallymarkError

# The official files: slices on the first axis of the file, which runs downwards in the body.
KITS = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0)
SPACING = (5.0, 0.7, 0.8)


def _itk(values: np.ndarray, direction: tuple[float, ...] = KITS, spacing: tuple[float, ...] = SPACING):
    """A volume from (slice, row, column) with the slices on the first axis of the file, that is the last in ITK."""
    volume = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    volume.SetSpacing(spacing)
    volume.SetDirection(direction)
    return volume


def _labels() -> np.ndarray:
    """Five slices of 6 rows and 8 columns. Tumour is largest on slice 3, kidney and tumour together on slice 1."""
    labels = np.zeros((5, 6, 8), np.uint8)
    labels[1, 1:5, 1:6] = 1
    labels[1, 1, 1] = 2
    labels[3, 2, 1:4] = 2
    labels[3, 3, 1] = 1
    labels[3, 4, 6] = 3
    return labels


def _body(shape: tuple[int, ...]) -> np.ndarray:
    """A CT that says where it is: 100 per slice, 10 per row towards the back, 1 per column towards the left."""
    plane, row, column = np.indices(shape)
    return (100 * plane + 10 * row + column - 300).astype(np.int16)


def _write_case(root: Path, name: str = "case_00007", labels: np.ndarray | None = None) -> Path:
    labels = _labels() if labels is None else labels
    case = root / "dataset" / name
    case.mkdir(parents=True)
    SimpleITK.WriteImage(_itk(_body(labels.shape)), str(case / "imaging.nii.gz"))
    SimpleITK.WriteImage(_itk(labels), str(case / "segmentation.nii.gz"))
    return case


def test_the_slice_with_the_largest_tumour_anterior_up_left_on_the_right(tmp_path: Path) -> None:
    case = _write_case(tmp_path)
    report = import_kits23(tmp_path, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    image = study.cases[0].read()
    assert image.pixels.dtype == np.int16
    assert image.pixels[..., 0].tolist() == _body((5, 6, 8))[3].tolist(), "row to the back, column to the left"
    assert image.spacing == pytest.approx((0.7, 0.8))
    assert study.truth.mask(study.cases[0], "tumour").tolist() == (_labels()[3] == 2).tolist()
    assert study.truth.mask(study.cases[0], "kidney").tolist() == (_labels()[3] == 1).tolist()
    assert (study.cases[0].id, study.cases[0].group) == ("case_00007", "case_00007")
    assert study.settings.image.window == (-160.0, 240.0)
    assert [statistic.name for statistic in study.statistics] == ["kidney_fraction", "tumour_fraction"]
    assert (report.cases, report.with_structure) == (1, {"kidney": 1, "tumour": 1})
    row = read_table(study.folder / "sources.csv", ("id", "image", "image_sha256", "axis", "slice"), extra=True).iloc[0]
    assert (row["id"], row["axis"], row["slice"]) == ("case_00007", "0", "3")
    assert (study.folder / row["image"]).resolve() == (case / "imaging.nii.gz").resolve()
    assert row["image_sha256"] == file_sha256(case / "imaging.nii.gz")


def test_options(tmp_path: Path) -> None:
    _write_case(tmp_path)
    import_kits23(
        tmp_path / "dataset",
        tmp_path / "study",
        kidney="includes",
        largest="kidney-and-tumour",
        window=(-100.0, 300.0),
        ratio=True,
    )
    study = Study.open(tmp_path / "study")
    assert study.truth.mask(study.cases[0], "kidney").sum() == 20, "19 of kidney and 1 of tumour, on slice 1"
    assert study.settings.image.window == (-100.0, 300.0)
    weaken(study, "deepest:10%", "d")
    assert study.numbers("exact")["case_00007", "tumour_share"].value == 1 / 20


def test_cysts_belong_to_the_kidney_that_includes(tmp_path: Path) -> None:
    _write_case(tmp_path)
    import_kits23(tmp_path, tmp_path / "study", kidney="includes")
    study = Study.open(tmp_path / "study")
    assert study.truth.mask(study.cases[0], "kidney").sum() == 5, "1 kidney, 3 tumour, 1 cyst"


@pytest.mark.parametrize("order", ["RAS", "LPS", "LIP", "SRA", "PSL", "AIL"])
def test_however_the_volume_is_stored_the_slice_is_the_same(order: str, tmp_path: Path) -> None:
    case = _write_case(tmp_path)
    import_kits23(tmp_path, tmp_path / "study")
    for name in ("imaging.nii.gz", "segmentation.nii.gz"):
        volume = SimpleITK.ReadImage(str(case / name))
        SimpleITK.WriteImage(SimpleITK.DICOMOrient(volume, order), str(case / name))
    import_kits23(tmp_path, tmp_path / "turned")
    studies = [Study.open(tmp_path / name) for name in ("study", "turned")]
    pixels = [study.cases[0].read() for study in studies]
    assert pixels[0].pixels.tolist() == pixels[1].pixels.tolist()
    assert pixels[0].spacing == pytest.approx(pixels[1].spacing)
    masks = [study.truth.mask(study.cases[0], "tumour").tolist() for study in studies]
    assert masks[0] == masks[1]


def test_hounsfield_units_stored_as_floats_are_kept_whole(tmp_path: Path) -> None:
    case = _write_case(tmp_path)
    SimpleITK.WriteImage(_itk(_body((5, 6, 8)) + np.float64(0.25)), str(case / "imaging.nii.gz"))
    import_kits23(tmp_path, tmp_path / "study")
    image = read_image(tmp_path / "study" / "images" / "case_00007.tif")
    assert image.pixels[..., 0].tolist() == _body((5, 6, 8))[3].tolist()


def test_cases_without_tumour_are_left_out_and_named(tmp_path: Path) -> None:
    _write_case(tmp_path)
    _write_case(tmp_path, "case_00008", np.minimum(_labels(), 1))
    report = import_kits23(tmp_path, tmp_path / "study")
    assert (report.cases, report.left_out) == (1, 1)
    assert "case_00008" in report.notes[0]
    shutil.rmtree(tmp_path / "dataset" / "case_00007")
    with pytest.raises(StudyError, match="no image is left"):
        import_kits23(tmp_path, tmp_path / "nothing")


def _other_grid(case: Path) -> None:
    SimpleITK.WriteImage(_itk(_labels(), spacing=(4.0, 0.7, 0.8)), str(case / "segmentation.nii.gz"))


def _other_direction(case: Path) -> None:
    turned = (0.0, 0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 0.0)
    SimpleITK.WriteImage(_itk(_labels(), direction=turned), str(case / "segmentation.nii.gz"))


def _other_shape(case: Path) -> None:
    SimpleITK.WriteImage(_itk(_labels()[:4]), str(case / "segmentation.nii.gz"))


def _unoriented(case: Path) -> None:
    for name in ("imaging", "segmentation"):
        path = case / f"{name}.nii.gz"
        data = bytearray(gzip.decompress(path.read_bytes()))
        data[252:256] = bytes(4)  # qform_code and sform_code
        path.write_bytes(gzip.compress(bytes(data)))


def _oblique(case: Path) -> None:
    """Two axes of the file lie nearest to the body's left."""
    c = float(np.sqrt(0.5))
    direction = (c, -c, 0.0, 0.5, 0.5, -c, 0.5, 0.5, c)
    for name, values in (("imaging", _body((5, 6, 8))), ("segmentation", _labels())):
        SimpleITK.WriteImage(_itk(values, direction=direction), str(case / f"{name}.nii.gz"))


def _strange_label(case: Path) -> None:
    SimpleITK.WriteImage(_itk(_labels() * 2), str(case / "segmentation.nii.gz"))


def _truncated_image(case: Path) -> None:
    data = (case / "imaging.nii.gz").read_bytes()
    (case / "imaging.nii.gz").write_bytes(data[: len(data) - 20])


def _truncated_labels(case: Path) -> None:
    data = (case / "segmentation.nii.gz").read_bytes()
    (case / "segmentation.nii.gz").write_bytes(data[:40])


def _no_image(case: Path) -> None:
    (case / "imaging.nii.gz").unlink()


def _no_labels(case: Path) -> None:
    (case / "segmentation.nii.gz").unlink()


def _empty_file(case: Path) -> None:
    (case / "imaging.nii.gz").write_bytes(b"")


def _not_gzip(case: Path) -> None:
    (case / "segmentation.nii.gz").write_text("<html>404 not found</html>" * 40)


def _flat(case: Path) -> None:
    flat = SimpleITK.GetImageFromArray(_labels()[3])
    SimpleITK.WriteImage(flat, str(case / "segmentation.nii.gz"))


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (_other_grid, GeometryError, "do not lie where their image lies; found .*spacing 4"),
        (_other_direction, GeometryError, "do not lie where their image lies; found .*direction"),
        (_other_shape, GeometryError, "do not have the shape of their image"),
        (_unoriented, GeometryError, "does not say how it lies in the body; found neither sform nor qform"),
        (_oblique, GeometryError, "too oblique"),
        (_strange_label, StudyError, "labels have no meaning here; found 4, 6"),
        (_truncated_image, ReadError, r"imaging\.nii\.gz"),
        (_truncated_labels, ReadError, r"segmentation\.nii\.gz"),
        (_no_image, ReadError, r"cases without imaging\.nii\.gz; found 1 of 1: case_00007.*run its download command"),
        (_no_labels, ReadError, r"cases without segmentation\.nii\.gz; found 1 of 1: case_00007"),
        (_empty_file, ReadError, "imaging"),
        (_not_gzip, ReadError, "segmentation"),
        (_flat, GeometryError, "no volume"),
    ],
)
def test_cases_that_cannot_be_used(
    spoil: Callable[[Path], None], error: type[TallymarkError], says: str, tmp_path: Path
) -> None:
    spoil(_write_case(tmp_path))
    with pytest.raises(error, match=says):
        import_kits23(tmp_path, tmp_path / "study")
    assert not (tmp_path / "study").exists(), "nothing is left behind"


def test_all_cases_that_cannot_be_used_are_named_at_once(tmp_path: Path) -> None:
    for number in range(3):
        case = _write_case(tmp_path, f"case_0000{number}")
        if number:
            _strange_label(case)
    with pytest.raises(StudyError, match=r"some cases cannot be used; found 2: .*case_00001.*case_00002"):
        import_kits23(tmp_path, tmp_path / "study")


def test_other_folders_and_options_are_refused(tmp_path: Path) -> None:
    _write_case(tmp_path)
    with pytest.raises(ReadError, match="no such folder"):
        import_kits23(tmp_path / "nowhere", tmp_path / "study")
    with pytest.raises(ReadError, match="not the KiTS23 data set"):
        import_kits23(tmp_path / "dataset" / "case_00007", tmp_path / "study")
    with pytest.raises(ConfigError, match="includes"):
        import_kits23(tmp_path, tmp_path / "study", kidney="perhaps")
    with pytest.raises(ConfigError, match="kidney-and-tumour"):
        import_kits23(tmp_path, tmp_path / "study", largest="cyst")
    with pytest.raises(ConfigError, match="window"):
        import_kits23(tmp_path, tmp_path / "study", window=(240.0, -160.0))
    assert not (tmp_path / "study").exists()


def test_nothing_that_is_there_is_touched(tmp_path: Path) -> None:
    _write_case(tmp_path)
    import_kits23(tmp_path, tmp_path / "study")
    before = {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()}
    with pytest.raises(StudyError, match="holds a study already"):
        import_kits23(tmp_path, tmp_path / "study")
    assert before == {path: path.read_bytes() for path in (tmp_path / "study").rglob("*") if path.is_file()}
    (tmp_path / "mine" / "images").mkdir(parents=True)
    (tmp_path / "mine" / "images" / "photo.png").write_bytes(b"mine")
    with pytest.raises(StudyError, match="would lie among others"):
        import_kits23(tmp_path, tmp_path / "mine")
    assert (tmp_path / "mine" / "images" / "photo.png").read_bytes() == b"mine"


def test_what_a_killed_import_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    _write_case(tmp_path)
    half = tmp_path / "study"
    (half / "images").mkdir(parents=True)
    (half / "images" / "case_00001.tif").write_bytes(b"half")
    (half / ".importing").write_text("An import is under way here, or was killed.\n")
    import_kits23(tmp_path, half)
    assert sorted(path.name for path in (half / "images").iterdir()) == ["case_00007.tif"]
    assert not (half / ".importing").exists()


def test_real_label_volumes_in_their_official_layout(shared_data: Path, tmp_path: Path) -> None:
    """The slices of the real labels against an independent reading: SimpleITK's own reorientation."""
    for name in ("case_00546", "case_00471"):
        source = shared_data / "kits23_labels" / "dataset" / name / "segmentation.nii.gz"
        labels = SimpleITK.ReadImage(str(source))
        case = tmp_path / "dataset" / name
        case.mkdir(parents=True)
        (case / "segmentation.nii.gz").symlink_to(source)
        # A CT on the same grid whose value is the tens of the row.
        rows = np.broadcast_to(np.arange(512, dtype=np.int16)[None, :, None], labels.GetSize()[::-1])
        image = SimpleITK.GetImageFromArray(np.ascontiguousarray(rows))
        image.CopyInformation(labels)
        SimpleITK.WriteImage(image, str(case / "imaging.nii.gz"))
    import_kits23(tmp_path, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    sources = read_table(study.folder / "sources.csv", ("id", "slice"), extra=True).set_index("id")
    for case in study.cases:
        labels = SimpleITK.ReadImage(str(shared_data / "kits23_labels" / "dataset" / case.id / "segmentation.nii.gz"))
        upright = SimpleITK.DICOMOrient(labels, "LPI")  # planes downwards, as in the file
        array = SimpleITK.GetArrayFromImage(upright)
        index = int((array == 2).sum((1, 2)).argmax())
        assert int(sources.loc[case.id, "slice"]) == index
        assert (study.truth.mask(case, "tumour") == (array[index] == 2)).all()
        assert case.spacing == pytest.approx(upright.GetSpacing()[1::-1])
        assert case.spacing is not None
        assert 0.6 < case.spacing[0] < 1
        pixels = case.read().pixels[..., 0]
        assert (pixels == np.arange(512)[:, None]).all(), "anterior, the first row of the file, is up"


def test_the_planes_of_a_stack_are_views(tmp_path: Path) -> None:
    _write_case(tmp_path)
    volume = read_image(tmp_path / "dataset" / "case_00007" / "imaging.nii.gz")
    assert volume.geometry is not None
    stack = axial_stack(volume.pixels[..., 0], volume.geometry, "a")
    assert np.shares_memory(stack.values, volume.pixels)
    assert stack.spacing == pytest.approx(SPACING)


# Prepared slices


def _write_slices(root: Path) -> Path:
    index = "file,group,slice,largest_tumour_slice_available\n"
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for case in range(3):
        for plane in range(2):
            file = f"case_{case:05d}_slice_{plane:04d}.png"
            Image.fromarray(np.full((4, 4), 10 * case + plane, np.uint8)).save(root / "images" / file)
            labels = np.zeros((4, 4), np.uint8)
            labels[0, : 1 + plane] = 2
            labels[1, :] = 1
            Image.fromarray(labels).save(root / "labels" / file)
            index += f"{file},case_{case:05d},{plane},{plane}\n"
    (root / "index.csv").write_text(index)
    return root


def test_prepared_slices(tmp_path: Path) -> None:
    root = _write_slices(tmp_path / "kits")
    report = import_kits_slices(root, tmp_path / "study")
    assert (report.cases, report.groups) == (6, 3)
    study = Study.open(tmp_path / "study")
    assert study.truth.mask(study.case("case_00001_slice_0001"), "tumour").sum() == 2
    assert study.truth.mask(study.case("case_00001_slice_0001"), "kidney").sum() == 4
    assert study.cases[0].image == (root / "images" / "case_00000_slice_0000.png").resolve()
    report = import_kits_slices(root, tmp_path / "largest", largest=True, kidney="includes", ratio=True)
    assert (report.cases, report.groups, report.left_out) == (3, 3, 3)
    study = Study.open(tmp_path / "largest")
    assert {case.id[-4:] for case in study.cases} == {"0001"}
    assert study.truth.mask(study.cases[0], "kidney").sum() == 6


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("case_00001_slice_0001.png,", "case_00001_slice_0009.png,", "of the table are not in the folder images"),
        ("case_00001_slice_0001.png,case_00001,1,1\n", "", "of the folder images are not in the table"),
        ("case_00001_slice_0001.png,case_00001", "case_00001_slice_0001.png,", "row 5, column group: the case is miss"),
        ("0001.png,case_00001,1,1", "0001.png,case_00001,1,yes", "found 'yes'; expected 0 or 1"),
        ("0001.png,case_00001,1,1", "0001.png,case_00001,1,0", "do not have one largest slice; found case_00001: 0"),
        ("0000.png,case_00001,0,0", "0000.png,case_00001,0,1", "do not have one largest slice; found case_00001: 2"),
        ("slice_0000.png,case_00000", "slice_0001.png,case_00000", "are in the table twice"),
        ("file,", "name,", "column 'file' is missing"),
    ],
)
def test_tables_that_contradict_the_slices(old: str, new: str, says: str, tmp_path: Path) -> None:
    root = _write_slices(tmp_path / "kits")
    text = (root / "index.csv").read_text()
    assert old in text
    (root / "index.csv").write_text(text.replace(old, new))
    with pytest.raises(StudyError, match=says):
        import_kits_slices(root, tmp_path / "study", largest=True)


def test_prepared_slices_and_labels_that_differ(tmp_path: Path) -> None:
    root = _write_slices(tmp_path / "kits")
    labels = root / "labels" / "case_00001_slice_0001.png"
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(labels)
    with pytest.raises(GeometryError, match="do not have the shape of their image"):
        import_kits_slices(root, tmp_path / "study")
    labels.unlink()
    with pytest.raises(ReadError, match=r"case_00001_slice_0001\.png"):
        import_kits_slices(root, tmp_path / "study")
    with pytest.raises(ReadError, match="no such folder"):
        import_kits_slices(root / "images", tmp_path / "study")


def test_real_prepared_slices(shared_data: Path, tmp_path: Path) -> None:
    report = import_kits_slices(shared_data / "kits19_slices", tmp_path / "all")
    assert (report.cases, report.groups) == (63, 27)
    report = import_kits_slices(shared_data / "kits19_slices", tmp_path / "largest", largest=True)
    assert (report.cases, report.groups, report.with_structure["tumour"]) == (27, 27, 27)
    study = Study.open(tmp_path / "largest")
    case = study.cases[0]
    labels = read_labels(shared_data / "kits19_slices" / "labels" / case.image.name)
    assert (study.truth.mask(case, "kidney") == (labels == 1)).all()
