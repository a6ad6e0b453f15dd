"""Contact sheets: layout, undistorted pictures, captions that are not cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tallymark.pictures import Panel, overlay_sheet


def plain(height: int, width: int, grey: int) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def test_two_columns_make_two_rows_of_three() -> None:
    panels = [Panel(plain(40, 40, 10 + index), "x") for index in range(3)]
    sheet = overlay_sheet(panels, columns=2, width=100)
    assert sheet.shape[1] == 16 + 2 * (100 + 16)
    for index, (top, left) in enumerate([(16, 16), (16, 132)]):
        assert (sheet[top : top + 100, left : left + 100] == 10 + index).all()
    third = np.argwhere((sheet == 12).all(axis=2))
    assert third[0].tolist()[1] == 16
    assert len(third) == 100 * 100


def test_pictures_keep_their_proportions() -> None:
    sheet = overlay_sheet([Panel(plain(30, 60, 50), "")], width=120)
    rows, columns = np.nonzero((sheet == 50).all(axis=2))
    assert len(set(rows)) == 60
    assert len(set(columns)) == 120


@pytest.mark.parametrize("caption", ["word " * 40, "x" * 300, "first\n\nthird", "Ångström-Köhler_01"])
def test_captions_stay_under_their_picture(caption: str) -> None:
    sheet = overlay_sheet([Panel(plain(20, 20, 0), caption)], width=150)
    ink = np.argwhere(sheet[16 + 150 :].min(axis=2) < 128)
    assert len(ink) > 0
    assert ink[:, 1].min() >= 16
    assert ink[:, 1].max() <= 16 + 150


def test_the_sheet_is_written_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sheet.png"
    sheet = overlay_sheet([Panel(plain(20, 20, 99), "case 1")], path)
    with Image.open(path) as image:
        assert (np.asarray(image) == sheet).all()


def test_no_panel_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one panel"):
        overlay_sheet([])
