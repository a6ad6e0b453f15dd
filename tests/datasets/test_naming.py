"""Which mask belongs to which image."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallymark.datasets.naming import pair_files
from tallymark.errors import ConfigError, ReadError, StudyError


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def _names(pairs: list) -> list[tuple[str, list[str], str]]:
    return [(pair.id, [mask.name for mask in pair.masks], pair.stratum) for pair in pairs]


@pytest.mark.parametrize(
    "mask",
    [
        "a.png",
        "a_mask.png",
        "a_mask_1.png",
        "a-mask.tif",
        "a seg.png",
        "a_segmentation.nii.gz",
        "a_Labels.png",
        "a_gt2.png",
    ],
)
def test_a_mask_is_called_after_its_image(tmp_path: Path, mask: str) -> None:
    _touch(tmp_path, "images/a.jpg", f"masks/{mask}")
    assert _names(pair_files(tmp_path / "images", tmp_path / "masks")) == [("a", [mask], "")]


def test_one_folder_holds_both_and_its_subfolders_are_strata(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        *("benign/b (10).png", "benign/b (10)_mask.png", "benign/b (2).png", "benign/b (2)_mask_1.png"),
        *("benign/b (2)_mask.png", "malignant/m.png", "malignant/m_mask.png", "notes.txt", ".hidden.png"),
    )
    assert _names(pair_files(tmp_path)) == [
        ("b (2)", ["b (2)_mask.png", "b (2)_mask_1.png"], "benign"),
        ("b (10)", ["b (10)_mask.png"], "benign"),
        ("m", ["m_mask.png"], "malignant"),
    ]


def test_one_folder_may_lie_inside_the_other(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "truth/a.png")
    assert _names(pair_files(tmp_path, tmp_path / "truth")) == [("a", ["a.png"], "")]
    assert _names(pair_files(tmp_path / "truth", tmp_path)) == [("a", ["a.png"], "")]


def test_an_image_may_itself_be_called_like_a_mask(tmp_path: Path) -> None:
    _touch(tmp_path, "images/a_seg.png", "images/a.png", "masks/a_seg.png", "masks/a.png")
    assert _names(pair_files(tmp_path / "images", tmp_path / "masks")) == [
        ("a", ["a.png"], ""),
        ("a_seg", ["a_seg.png"], ""),
    ]
    _touch(tmp_path / "one", "b_seg.png", "b_seg_mask.png")
    assert _names(pair_files(tmp_path / "one")) == [("b_seg", ["b_seg_mask.png"], "")]


def test_subfolders_are_left_alone_when_told_so(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "a_mask.png", "deep/b.png")
    assert [pair.id for pair in pair_files(tmp_path, recursive=False)] == ["a"]


def test_images_without_a_mask_may_be_kept(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "a_mask.png", "b.png")
    assert _names(pair_files(tmp_path, allow_missing=True)) == [("a", ["a_mask.png"], ""), ("b", [], "")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images/a.png", "images/b.png", "masks/a.png"], "1 x image without a mask: b.png"),
        (["images/a.png", "masks/a.png", "masks/c_mask.png"], "1 x mask without an image: c_mask.png"),
        (["images/x/a.png", "images/y/a.png", "masks/a.png"], "1 x name shared by several images: a"),
        (["images/a.png", "images/a.jpg", "masks/a.png"], "1 x name shared by several images: a"),
        (["images/a.png", "masks/kidney/a.png", "masks/tumour/a.png"], "1 x image with masks in several folders: a"),
        (
            ["masks/z.png", *(f"images/{i}.png" for i in range(8))],
            "8 x image without a mask: 0.png, 1.png, 2.png, 3.png, 4.png and 3 more; 1 x mask without an image: z.png",
        ),
    ],
)
def test_what_does_not_pair_is_named(tmp_path: Path, names: list[str], message: str) -> None:
    _touch(tmp_path, *names)
    with pytest.raises(StudyError) as error:
        pair_files(tmp_path / "images", tmp_path / "masks")
    assert message in str(error.value)
    assert error.value.remedy


def test_a_lone_mask_in_a_common_folder_is_not_taken_for_an_image(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "a_mask.png", "b_mask.png")
    with pytest.raises(StudyError, match=r"1 x mask without an image: b_mask\.png"):
        pair_files(tmp_path, allow_missing=True)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no image is in this folder"):
        pair_files(tmp_path)
    with pytest.raises(ReadError, match="no such folder"):
        pair_files(tmp_path / "nowhere")


def test_endings_can_be_named(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "a_roi.png")
    assert _names(pair_files(tmp_path, endings=("roi",))) == [("a", ["a_roi.png"], "")]
    with pytest.raises(ConfigError):
        pair_files(tmp_path, endings=())
