"""A contact sheet: several pictures with a caption under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tallymark.pictures.files import save_png

if TYPE_CHECKING:
    from PIL import Image, ImageFont

_PAPER, _INK = (255, 255, 255), (34, 39, 46)
_MARGIN, _FONT_SIZE = 16, 15


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture of a sheet.

    Args:
        picture: (h, w, 3), 0..255, as :func:`~tallymark.pictures.outlines.overlay` draws it.
        caption: what stands under it: id, overlap, numbers; line breaks are kept, long lines wrapped.
    """

    picture: NDArray[np.uint8]
    caption: str


def overlay_sheet(
    panels: Sequence[Panel], path: Path | None = None, *, columns: int = 3, width: int = 320
) -> NDArray[np.uint8]:
    """Lay pictures out in rows, each scaled to one width without distortion, with its caption under it.

    Args:
        panels: at least one.
        path: where to write the sheet as a PNG, if anywhere.
        columns: pictures in a row.
        width: of each picture on the sheet, pixels.

    Returns:
        (H, W, 3), 0..255.

    Raises:
        StorageError: the file cannot be written.
        ValueError: no panel.

    Example:
        Two columns of 100 px with three margins of 16 px between and around them.

        >>> grey = np.full((50, 50, 3), 128, np.uint8)
        >>> overlay_sheet([Panel(grey, "best"), Panel(grey, "worst")], columns=2, width=100).shape[1]
        248
    """
    from PIL import Image, ImageDraw, ImageFont

    if not panels:
        raise ValueError("a sheet needs at least one panel")
    font = ImageFont.truetype(_font_file(), _FONT_SIZE)
    columns = min(columns, len(panels))
    cells = [(_scaled(panel.picture, width), _wrapped(panel.caption, font, width)) for panel in panels]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    line = round(1.4 * _FONT_SIZE)
    heights = [
        (max(picture.height for picture, _ in row), line * max(text.count("\n") + 1 for _, text in row)) for row in rows
    ]

    height = _MARGIN + sum(picture + 8 + text + _MARGIN for picture, text in heights)
    sheet = Image.new("RGB", (_MARGIN + columns * (width + _MARGIN), height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    top = _MARGIN
    for row, (picture_height, text_height) in zip(rows, heights, strict=True):
        for column, (picture, text) in enumerate(row):
            left = _MARGIN + column * (width + _MARGIN)
            # Pictures of one row stand on one line, so that the captions do.
            sheet.paste(picture, (left, top + picture_height - picture.height))
            for number, words in enumerate(text.split("\n")):
                draw.text((left, top + picture_height + 8 + number * line), words, fill=_INK, font=font)
        top += picture_height + 8 + text_height + _MARGIN
    result = np.asarray(sheet, dtype=np.uint8)
    if path is not None:
        save_png(result, path)
    return result


def _scaled(picture: NDArray[np.uint8], width: int) -> Image.Image:
    from PIL import Image

    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)


def _wrapped(caption: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Break a caption at spaces, and within a word that is wider than the picture, so that no line is cut off."""
    lines: list[str] = []
    for line in caption.split("\n"):
        current = ""
        for word in line.split(" "):
            joined = f"{current} {word}" if current else word
            if font.getlength(joined) <= width:
                current = joined
                continue
            if current:
                lines.append(current)
            while font.getlength(word) > width:
                fits = max(1, next(n for n in range(len(word), -1, -1) if font.getlength(word[:n]) <= width))
                lines.append(word[:fits])
                word = word[fits:]
            current = word
        lines.append(current)
    return "\n".join(lines)


def _font_file() -> str:
    # matplotlib brings DejaVu Sans, which has the letters of most names; pillow's own font has few.
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
