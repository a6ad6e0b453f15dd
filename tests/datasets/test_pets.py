"""Oxford-IIIT Pet in its own layout: trimaps, the list, photographs that are no JPEG; fetched only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from tallymark.cli.import_sets import register
from tallymark.data.study import Study
from tallymark.datasets.pets import import_pets
from tallymark.errors import ConfigError, GeometryError, ReadError, StudyError

TRIMAP = np.array([[2, 3, 3, 2], [2, 3, 1, 3], [2, 2, 3, 2]], np.uint8)
LIST = """#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
Abyssinian_100 1 1 1
Bengal_7 6 1 3
yorkshire_terrier_12 37 2 25
"""


def _write(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "annotations" / "list.txt").write_text(LIST)
    for position, name in enumerate(("Abyssinian_100", "Bengal_7", "yorkshire_terrier_12", "not_listed_1")):
        photograph = np.zeros((3, 4, 3), np.uint8)
        photograph[..., 0] = 60 * position
        Image.fromarray(photograph).save(root / "images" / f"{name}.jpg")
        Image.fromarray(TRIMAP).save(root / "annotations" / "trimaps" / f"{name}.png")
        (root / "annotations" / "trimaps" / f"._{name}.png").write_bytes(b"\0\5\x16\7")
    return root


def test_the_photographs_of_the_list(tmp_path: Path) -> None:
    root = _write(tmp_path / "oxford-iiit-pet")
    report = import_pets(tmp_path, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    assert (report.cases, report.groups, report.channels) == (3, 3, 3)
    assert report.strata == {"cat/Abyssinian": 1, "cat/Bengal": 1, "dog/yorkshire_terrier": 1}
    case = study.case("Bengal_7")
    assert case.image == (root / "images" / "Bengal_7.jpg").resolve()
    assert study.truth.mask(case, "pet").tolist() == (TRIMAP != 2).tolist()
    import_pets(root, tmp_path / "inner", border="excludes")
    study = Study.open(tmp_path / "inner")
    assert study.truth.mask(study.case("Bengal_7"), "pet").tolist() == (TRIMAP == 1).tolist()


def test_photographs_that_are_no_jpeg_are_left_out_only_when_asked(tmp_path: Path) -> None:
    root = _write(tmp_path)
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(root / "images" / "Bengal_7.jpg", format="GIF")
    with pytest.raises(ReadError, match=r"Bengal_7\.jpg: this is not a JPEG file; .*--skip-unreadable"):
        import_pets(root, tmp_path / "study")
    report = import_pets(root, tmp_path / "study", skip_unreadable=True)
    assert (report.cases, report.left_out) == (2, 1)
    assert report.notes == ("1 that cannot be read were left out: Bengal_7.jpg.",)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"not the Oxford-IIIT Pet data set.*--download"):
        import_pets(tmp_path, tmp_path / "study")
    root = _write(tmp_path / "pets")
    with pytest.raises(ConfigError, match="includes or excludes"):
        import_pets(root, tmp_path / "study", border="half")
    trimap = root / "annotations" / "trimaps" / "Bengal_7.png"
    Image.fromarray(TRIMAP + 1).save(trimap)
    with pytest.raises(StudyError, match=r"Bengal_7\.png: these labels have no meaning here; found 4"):
        import_pets(root, tmp_path / "study")
    Image.fromarray(TRIMAP.T.copy()).save(trimap)
    with pytest.raises(GeometryError, match=r"found \(4, 3\); expected \(3, 4\)"):
        import_pets(root, tmp_path / "study")
    trimap.unlink()
    with pytest.raises(ReadError, match=r"Bengal_7\.png"):
        import_pets(root, tmp_path / "study")
    for line in ("Bengal_8 6 3 1", "Bengal_8 6 1", "Bengal_7 6 1 3"):
        (root / "annotations" / "list.txt").write_text(LIST + line)
        with pytest.raises(StudyError, match=r"list\.txt, line 6: this line of the list cannot be read"):
            import_pets(root, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def _app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_nothing_is_fetched_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    fetched: list[dict[str, Any]] = []

    def fetch(**options: Any) -> None:
        fetched.append(options)
        _write(options["root"] / "oxford-iiit-pet")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", fetch)
    result = CliRunner().invoke(_app(), ["pets", str(tmp_path / "pets"), str(tmp_path / "study")])
    assert isinstance(result.exception, ReadError)
    assert fetched == []
    result = CliRunner().invoke(_app(), ["pets", "--download", str(tmp_path / "pets"), str(tmp_path / "study")])
    assert result.exception is None
    assert "3 images of 3 groups: 3 with pet" in result.output
    assert fetched == [{"root": tmp_path / "pets", "target_types": "segmentation", "download": True}]


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    def fail(**options: Any) -> None:
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", fail)
    result = CliRunner().invoke(_app(), ["pets", "--download", str(tmp_path / "pets"), str(tmp_path / "study")])
    assert isinstance(result.exception, ReadError)
    assert "could not be fetched" in str(result.exception)


def test_marks_from_the_command_line(tmp_path: Path) -> None:
    import_pets(_write(tmp_path / "pets"), tmp_path / "study")
    (tmp_path / "labels").mkdir()
    Image.fromarray(TRIMAP).save(tmp_path / "labels" / "Bengal_7.png")
    words = ["marks", str(tmp_path / "study"), str(tmp_path / "labels"), "--as", "reader1", "--codes", "pet=1"]
    result = CliRunner().invoke(_app(), words)
    assert isinstance(result.exception, StudyError)
    result = CliRunner().invoke(
        _app(), [*words, "--none-of-these", "2", "--unmarked", "3", "--allow-missing", "--author", "r", "--json"]
    )
    assert result.exception is None
    assert '"marked": 1' in result.output
    assert Study.open(tmp_path / "study").marks.labels("Bengal_7", "reader1")["pet"].sum() == 1
