"""Prepared axial slices of KiTS: 8-bit pictures, label pictures and a table that names the case of each."""

from __future__ import annotations

from pathlib import Path

from tallymark.data.cases import Case
from tallymark.data.findings import some
from tallymark.data.settings import SplitSettings
from tallymark.data.tables import read_table
from tallymark.datasets.kits23 import CYST, KIDNEY, TUMOUR, TUMOUR_SHARE, kits_codes
from tallymark.datasets.labelled import each, look_at, refuse_study, require_folder, study_of_labelled
from tallymark.datasets.pairs import ImportReport, Track
from tallymark.errors import StudyError

_MARK = "largest_tumour_slice_available"


def import_kits_slices(
    folder: Path | str,
    study: Path | str,
    *,
    largest: bool = False,
    kidney: str = "excludes",
    ratio: bool = False,
    split: SplitSettings | None = None,
    track: Track = iter,
) -> ImportReport:
    """Make a study of prepared KiTS slices; the originals stay where they are.

    Args:
        folder: with ``images/NAME.png``, ``labels/NAME.png`` (1 kidney, 2 tumour, 3 cyst) and ``index.csv``, whose
            columns are ``file``, ``group`` (the case), ``slice`` and ``largest_tumour_slice_available`` (1 or 0).
        study: the study folder to make.
        largest: keep of each case only the slice with the largest tumour, as the table marks it.
        kidney: whether the kidney includes the tumours and cysts in it.
        ratio: have the statistic ``tumour_share`` too.
        split: shares of the splits.
        track: wraps the slices while they are read, to show progress.

    Returns:
        What was made. The size of a pixel is not known.

    Raises:
        ReadError: a folder or file cannot be read.
        StudyError: the table names files that are not there or leaves some out, a file twice, a case with no or two
            largest slices where they are asked for, labels that KiTS does not have, a study that is there already.
        GeometryError: a picture and its labels of different size.
        ConfigError: an option out of range.
    """
    folder, study = Path(folder), Path(study)
    codes = kits_codes(kidney)
    refuse_study(study)
    require_folder(folder / "images", "the folders images and labels, and index.csv, in the folder named")
    rows = _rows(folder)
    kept = [row for row in rows if row[2]] if largest else rows
    if largest:
        _check_largest(folder / "index.csv", kept, {group for _, group, _ in rows})
    items = each(
        kept,
        lambda row: look_at(
            Case(Path(row[0]).stem, folder / "images" / row[0], group=row[1]),
            folder / "labels" / row[0],
            (0, KIDNEY, TUMOUR, CYST),
        ),
        track=track,
        what="some slices cannot be used",
    )
    return study_of_labelled(
        items,
        codes,
        study,
        name="kits-slices",
        statistics=(TUMOUR_SHARE,) if ratio else (),
        split=split,
        left_out=len(rows) - len(kept),
        notes=["Only the slice with the largest tumour of each case was kept."] if largest else [],
    )


def _rows(folder: Path) -> list[tuple[str, str, bool]]:
    """File, case and whether it is the slice with the largest tumour."""
    path = folder / "index.csv"
    table = read_table(path, ("file", "group", _MARK), extra=True)
    rows = []
    for row, file, group, mark in zip(table.index, table["file"], table["group"], table[_MARK], strict=True):
        where = f"{path}, row {row}"
        if not group:
            raise StudyError(
                "the case is missing", where=f"{where}, column group", remedy="name the case of this slice"
            )
        if mark not in ("0", "1"):
            raise StudyError(
                "this cell cannot be read", where=f"{where}, column {_MARK}", found=repr(mark), expected="0 or 1"
            )
        rows.append((file, group, mark == "1"))
    files = [file for file, _, _ in rows]
    there = {path.name for path in (folder / "images").glob("*.png")}
    for what, names in (
        ("slices are in the table twice", {file for file in files if files.count(file) > 1}),
        ("slices of the table are not in the folder images", set(files) - there),
        ("slices of the folder images are not in the table", there - set(files)),
    ):
        if names:
            raise StudyError(what, where=path, found=f"{len(names)}: {some(sorted(names))}", remedy="correct the table")
    return rows


def _check_largest(path: Path, kept: list[tuple[str, str, bool]], cases: set[str]) -> None:
    marked = [group for _, group, _ in kept]
    wrong = sorted(case for case in cases if marked.count(case) != 1)
    if wrong:
        raise StudyError(
            "these cases do not have one largest slice",
            where=f"{path}, column {_MARK}",
            found=some(f"{case}: {marked.count(case)}" for case in wrong),
            expected="1 on one slice of each case",
            remedy="correct the table, or keep all slices",
        )
