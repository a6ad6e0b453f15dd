"""Which image a name means: exact rules in their order, and nothing by likeness."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.matching import ImageNames, case_ids, list_images, members, stem_of
from tallymark.errors import ReadError

ROOT = Path("images")


def names(*files: str, as_numbers: bool = False) -> ImageNames:
    return ImageNames([ROOT / file for file in files], ROOT, as_numbers=as_numbers)


@pytest.mark.parametrize(
    ("name", "files", "found", "how"),
    [
        ("a", ["a.png", "b.png"], ["a.png"], "stem"),
        ("a.png", ["a.png", "a.jpg"], ["a.png"], "file name"),
        ("a", ["a.png", "a.jpg"], ["a.png", "a.jpg"], "stem"),
        ("a", ["a.png", "x/a.png"], ["a.png", "x/a.png"], "stem"),
        ("x/a", ["a.png", "x/a.png"], ["x/a.png"], "path"),
        ("x\\a.png", ["a.png", "x/a.png"], ["x/a.png"], "path"),
        ("./a.png", ["a.png"], ["a.png"], "file name"),
        ("A", ["a.png", "b.png"], ["a.png"], "letter case"),
        ("A", ["a.png", "x/A.png"], ["x/A.png"], "stem"),
        ("AA", ["aa.png", "x/aA.png"], ["aa.png", "x/aA.png"], "letter case"),
        ("scan.nii.gz", ["scan.nii.gz"], ["scan.nii.gz"], "file name"),
        ("scan", ["scan.nii.gz"], ["scan.nii.gz"], "stem"),
        ("a.b", ["a.b.png", "a.png"], ["a.b.png"], "stem"),
        ("a", ["aa.png"], [], ""),
        ("", ["a.png"], [], ""),
        ("7", ["007.png"], [], ""),
    ],
)
def test_the_first_rule_that_finds_anything_decides(name: str, files: list[str], found: list[str], how: str) -> None:
    match = names(*files).find(name)
    assert list(match.images) == [ROOT / file for file in found]
    assert match.how == how
    assert (match.image is not None) == (len(found) == 1)


def test_numbers_match_only_where_that_was_said_and_clear() -> None:
    assert names("007.png", as_numbers=True).find("7").image == ROOT / "007.png"
    assert names("007.png", "07.png", as_numbers=True).find("7").image is None
    assert names("7a.png", as_numbers=True).find("7").images == ()
    assert names("000.png", as_numbers=True).find("0").image == ROOT / "000.png"


@given(
    st.lists(
        st.builds(
            lambda folder, stem, suffix: f"{folder}{stem}{suffix}",
            st.sampled_from(["", "x/", "X/", "x_a/"]),
            st.text(string.ascii_letters[:2] + "AB_", min_size=1, max_size=3),
            st.sampled_from([".png", ".jpg", ".nii.gz"]),
        ),
        unique=True,
        max_size=12,
    )
)
def test_ids_are_unique_on_every_system(files: list[str]) -> None:
    ids = case_ids([ROOT / file for file in files], ROOT)
    assert len({name.casefold() for name in ids.values()}) == len(files)
    for file, name in ids.items():
        assert stem_of(file) in name


@given(st.lists(st.text("abAB1", min_size=1, max_size=3), unique=True, min_size=1, max_size=8))
def test_a_file_is_found_by_its_own_name(stems: list[str]) -> None:
    index = names(*(f"{stem}.png" for stem in stems))
    for stem in stems:
        assert index.find(f"{stem}.png").image == ROOT / f"{stem}.png"
        assert index.find(stem).image == ROOT / f"{stem}.png"


def test_the_images_of_a_group_do_not_include_those_of_a_longer_name() -> None:
    files = [ROOT / name for name in ("P1.png", "P1-2.png", "P12.png", "P1/z.png", "P1/deep/z.png", "q/P1 left.png")]
    assert members("P1", files, ROOT) == [files[0], files[1], files[3], files[4], files[5]]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such folder"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ReadError, match="no image"):
        list_images(tmp_path)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.png").touch()
    with pytest.raises(ReadError, match="no image"):
        list_images(tmp_path)
