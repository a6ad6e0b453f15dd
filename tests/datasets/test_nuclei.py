"""Nuclei: numbered instances become one structure; the originals stay where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tallymark.data.study import Study
from tallymark.datasets.nuclei import import_nuclei
from tallymark.errors import GeometryError, ReadError, StudyError


def _write(root: Path, instances: dict[str, np.ndarray]) -> Path:
    for folder in ("images", "instances"):
        (root / folder).mkdir(parents=True)
    for position, (name, ids) in enumerate(instances.items()):
        Image.fromarray(np.full(ids.shape, position, np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(ids.astype(np.uint16)).save(root / "instances" / f"{name}.png")
    return root


IDS = {
    "a": np.array([[0, 1, 1], [2, 0, 700]]),
    "b": np.array([[1, 1, 1], [1, 1, 1]]),
    "c": np.zeros((2, 3), int),
}


def test_the_union_of_all_instances_is_the_structure(tmp_path: Path) -> None:
    root = _write(tmp_path / "dsb", IDS)
    report = import_nuclei(root, tmp_path / "study")
    study = Study.open(tmp_path / "study")
    assert study.structures == ("nucleus",)
    for name, ids in IDS.items():
        assert study.truth.mask(study.case(name), "nucleus").tolist() == (ids > 0).tolist()
    assert study.truth.rows("a", "nucleus")[0].codes == (1, 2, 700)
    assert study.case("a").image == (root / "images" / "a.png").resolve()
    assert (report.cases, report.groups, report.with_structure, report.empty) == (3, 3, {"nucleus": 2}, 1)


def test_groups_from_a_table(tmp_path: Path) -> None:
    root = _write(tmp_path / "dsb", IDS)
    table = tmp_path / "groups.csv"
    table.write_text("id,group\na,1\nb,1\nc,2\n")
    report = import_nuclei(root, tmp_path / "study", groups=table)
    assert report.groups == 2
    for text in ("id,group\na,1\nb,1\n", "id,group\na,1\nb,1\nc,\n", "id,group\na,1\nb,1\nc,2\nc,3\n"):
        table.write_text(text)
        with pytest.raises(StudyError, match="the groups are not complete"):
            import_nuclei(root, tmp_path / "other", groups=table)


def test_identical_images_are_one_group_even_against_the_table(tmp_path: Path) -> None:
    root = _write(tmp_path / "dsb", IDS)
    (root / "images" / "c.png").write_bytes((root / "images" / "a.png").read_bytes())
    report = import_nuclei(root, tmp_path / "study")
    assert report.groups == 2
    assert report.notes[-1].endswith("joined, under the first name: a = c.")
    table = tmp_path / "groups.csv"
    table.write_text("id,group\na,1\nb,1\nc,2\n")
    report = import_nuclei(root, tmp_path / "other", groups=table)
    assert report.groups == 1
    assert report.notes == ("Groups that share an identical image were joined, under the first name: 1 = 2.",)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    root = _write(tmp_path / "dsb", IDS)
    with pytest.raises(ReadError, match="no such folder"):
        import_nuclei(root / "images", tmp_path / "study")
    instances = root / "instances" / "b.png"
    Image.fromarray(np.ones((2, 4), np.uint16)).save(instances)
    with pytest.raises(GeometryError, match=r"b\.png: the labels do not have the shape of their image"):
        import_nuclei(root, tmp_path / "study")
    instances.write_bytes(instances.read_bytes()[:40])
    with pytest.raises(ReadError, match=r"b\.png"):
        import_nuclei(root, tmp_path / "study")
    instances.unlink()
    with pytest.raises(StudyError, match=r"1 x image without a mask: b\.png"):
        import_nuclei(root, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_real_nuclei(shared_data: Path, tmp_path: Path) -> None:
    report = import_nuclei(shared_data / "dsb2018", tmp_path / "study")
    assert (report.cases, report.groups, report.channels) == (240, 240, 1)
    study = Study.open(tmp_path / "study")
    case = study.cases[7]
    ids = np.asarray(Image.open(shared_data / "dsb2018" / "instances" / case.image.name))
    assert (study.truth.mask(case, "nucleus") == (ids > 0)).all()
