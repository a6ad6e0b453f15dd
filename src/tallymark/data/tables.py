"""Tables as plain CSV files, checked where people err: the header, the encoding, the number of cells in a row.

Rows are counted as a spreadsheet counts them: the header is row 1, the first row of data is row 2.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tallymark.data.atomic import write_text
from tallymark.errors import ReadError, StudyError


def read_table(
    path: Path | str, columns: Sequence[str], optional: Sequence[str] = (), *, extra: bool = False
) -> pd.DataFrame:
    r"""Read a CSV file (UTF-8, commas) and check its shape.

    Args:
        path: the file.
        columns: columns that must be there.
        optional: columns that may be there; where they are not, they come back empty.
        extra: keep columns that are neither instead of refusing them.

    Returns:
        One row per case, every cell a stripped string (empty for an empty cell), the index the row in the file as a
        spreadsheet counts it, the columns ``columns``, ``optional`` and then any extra ones. Rows whose cells are all
        empty are left out, as spreadsheets write them by the hundred.

    Raises:
        ReadError: no such file, empty, not UTF-8, not a text file.
        StudyError: a column is missing, unknown or there twice; a row has too many or too few cells.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "groups.csv"
        >>> _ = path.write_text("id,group\na,1\n\nb,2\n")
        >>> read_table(path, ["id", "group"])
          id group
        2  a     1
        4  b     2
    """
    path = Path(path)
    rows = _parse(path)
    header = [name.strip() for name in rows[0]]
    _check_header(path, header, columns, optional, extra)
    kept: list[list[str]] = []
    numbers: list[int] = []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise StudyError(
                "this row does not fit the header",
                where=f"{path}, row {number}",
                found=f"{len(cells)} cells",
                expected=f"{len(header)}",
                remedy='put a text that holds a comma into "double quotes"',
            )
        kept.append([cell.strip() for cell in cells])
        numbers.append(number)
    frame = pd.DataFrame(kept, columns=header, index=numbers, dtype=object)
    for name in optional:
        if name not in header:
            frame[name] = ""
    known = [*columns, *optional]
    return frame[[*known, *(name for name in header if name not in known)]]


def write_table(path: Path | str, frame: pd.DataFrame) -> None:
    r"""Write a table as CSV (UTF-8, commas, without the index), all or nothing.

    Args:
        path: the file to write or replace.
        frame: the table; numbers are written so that they read back exactly, missing values as empty cells.

    Raises:
        StorageError: it cannot be written; the old file is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.csv"
        >>> write_table(path, pd.DataFrame({"id": ["a, b"], "value": [0.1]}))
        >>> path.read_text()
        'id,value\n"a, b",0.1\n'
    """
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _parse(path: Path) -> list[list[str]]:
    """All rows of the file, the header first."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError("cannot be read", where=path, found=error.strerror, expected="a CSV file") from error
    try:
        text = data.decode("utf-8-sig")  # spreadsheets put a byte order mark first
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise ReadError(
            "this is not UTF-8 text",
            where=f"{path}, row {row}",
            found=f"the byte 0x{data[error.start]:02x}",
            remedy="save the table again as 'CSV UTF-8'",
        ) from error
    if "\0" in text:
        raise ReadError("this is not a text file", where=path, remedy="save the table as 'CSV UTF-8'")
    if not text.strip():
        raise ReadError("the file is empty", where=path, expected="a header and rows")
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ReadError(
            "this is not a CSV table", where=path, found=error, remedy="look for a double quote that is never closed"
        ) from error


def _check_header(path: Path, header: list[str], columns: Sequence[str], optional: Sequence[str], extra: bool) -> None:
    """Refuse a header with missing, unknown or repeated columns."""
    where = f"{path}, row 1"
    if len(header) == 1 and len(columns) > 1 and any(mark in header[0] for mark in ";\t"):
        raise StudyError(
            "the cells are not separated by commas",
            where=where,
            found=repr(header[0]),
            remedy="save the table again with commas between the cells and points in the numbers",
        )
    expected = ", ".join([*columns, *(f"{name} (optional)" for name in optional)])
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise StudyError("a column is there twice", where=where, found=repr(twice[0]), remedy="remove one of them")
    missing = [name for name in columns if name not in header]
    if missing:
        raise StudyError(
            f"the column '{missing[0]}' is missing", where=where, found=", ".join(header), expected=expected
        )
    unknown = [name for name in header if name not in (*columns, *optional)]
    if unknown and not extra:
        raise StudyError(
            f"the column '{unknown[0]}' is unknown", where=where, expected=expected, remedy="rename or remove it"
        )
