"""Opening table files: Excel workbooks through openpyxl, text tables of every usual separator and encoding."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import warnings
import zipfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tallymark.data.table_cells import Cell, Grid, clean
from tallymark.errors import ConfigError, ReadError

_OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # OLE: .xls before 2007, and everything that Excel encrypts
_SEPARATORS = (",", ";", "\t", "|")
_DIGITS = 15  # that Excel keeps of a number

_ERRORS = ("#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!", "#GETTING_DATA")


def read_grids(path: Path, sheet: str | None) -> list[Grid]:
    """The one sheet that is meant, or, of a text table, every way to cut it into cells.

    Args:
        path: the file; its content says what it is.
        sheet: name of the sheet of a workbook.

    Returns:
        At least one grid with at least one row.

    Raises:
        ReadError: the file cannot be read, holds nothing, or is of a kind that is not read.
        ConfigError: no such sheet, or several to choose from.
    """
    if path.is_dir():
        raise ReadError("this is a folder", where=path, expected="a CSV file or an Excel workbook")
    if path.name.startswith("~$"):
        raise ReadError(
            "this is the note that Excel leaves while a workbook is open, not the workbook",
            where=path,
            remedy=f"name {path.name[2:]}",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        remedy = "close it in Excel" if isinstance(error, PermissionError) else "check the path"
        raise ReadError("cannot be read", where=path, found=error.strerror, remedy=remedy) from error
    if not data.strip():
        raise ReadError("the file is empty", where=path, expected="a header and rows")
    _refuse_foreign(path, data)
    if data.startswith(b"PK"):
        return [_workbook(path, data, sheet)]
    if sheet is not None:
        raise ConfigError("a text table has no sheets", where=path, found=f"--sheet {sheet}", remedy="leave it away")
    return _text_tables(path, data)


def _refuse_foreign(path: Path, data: bytes) -> None:
    """Say what a file is that is neither text nor a workbook of today."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = None
    if data.startswith(_OLD):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise ReadError(
                "this workbook is protected by a password",
                where=path,
                remedy="open it in Excel, remove the password (File, Info, Protect Workbook) and save a copy",
            )
        found = "an Excel workbook of the format before 2007 (.xls)"
    elif start.startswith((b"<html", b"<!doctype", b"<table", b"<?xml")):
        found = "a web page or an XML file, whatever its suffix says"
    elif start.startswith(b"%pdf"):
        found = "a PDF"
    if found is not None:
        raise ReadError(
            "this kind of table is not read", where=path, found=found, remedy="open it in Excel and save it as .xlsx"
        )


# Excel


def _workbook(path: Path, data: bytes, sheet: str | None) -> Grid:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise ReadError("this workbook is damaged", where=path, found=error, remedy="copy or save it again") from error
    if "xl/workbook.xml" not in names:
        kinds = {"xl/workbook.bin": "a binary workbook (.xlsb)", "content.xml": "an OpenDocument table (.ods)"}
        found = next((kind for name, kind in kinds.items() if name in names), "an archive that is no workbook")
        raise ReadError(
            "this kind of table is not read", where=path, found=found, remedy="open it in Excel and save it as .xlsx"
        )
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about drawings, filters and dates that are not read here
            values = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
            formulas = openpyxl.load_workbook(io.BytesIO(data), data_only=False)
    except Exception as error:
        # openpyxl raises whatever a damaged part leads it to: KeyError, ValueError, TypeError, ParseError ...
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ReadError(
            "this workbook is damaged", where=path, found=message, remedy="open it in Excel and save it again"
        ) from error
    chosen = _choose(path, values, sheet)
    return _grid(path, chosen, formulas[chosen.title], several=len(values.worksheets) > 1)


def _choose(path: Path, book: Any, sheet: str | None) -> Any:
    titles = [page.title for page in book.worksheets]
    if sheet is not None:
        matching = [page for page in book.worksheets if page.title.strip() == sheet.strip()]
        if not matching:
            raise ConfigError(
                f"there is no sheet '{sheet}'", where=path, found=", ".join(titles), remedy="name one with --sheet"
            )
        return matching[0]
    filled = [page for page in book.worksheets if any(v is not None for row in page.values for v in row)]
    seen = [page for page in filled if page.sheet_state == "visible"]
    if len(seen) > 1 or (not seen and len(filled) > 1):
        raise ConfigError(
            "this workbook has several sheets",
            where=path,
            found=", ".join(page.title for page in seen or filled),
            remedy="say which one with --sheet NAME",
        )
    if not filled:
        expected = "a header and rows"
        raise ReadError("every sheet of this workbook is empty", where=path, found=", ".join(titles), expected=expected)
    return (seen or filled)[0]


def _grid(path: Path, page: Any, formulas: Any, several: bool) -> Grid:
    where = f"{path}, sheet '{page.title}'"
    rows = {}
    for cells in page.iter_rows():
        number = cells[0].row
        line = [_excel_cell(cell, formulas.cell(number, cell.column).value) for cell in cells]
        while line and line[-1].empty:
            line.pop()
        if line:
            rows[number] = line
    if not rows:
        raise ReadError("this sheet is empty", where=where, expected="a header and rows")
    merged = [(m.min_row, m.min_col - 1, m.max_row, m.max_col - 1) for m in page.merged_cells.ranges]
    hidden = frozenset(number for number, size in page.row_dimensions.items() if size.hidden)
    return Grid(where, rows, merged, hidden, (f"sheet '{page.title}'",) if several else ())


def _excel_cell(cell: Any, formula: object) -> Cell:
    value = cell.value
    if value is None:
        if not isinstance(formula, str) or not formula.startswith("="):
            # An array or table formula is an object of openpyxl.
            if formula is None or isinstance(formula, str):
                return Cell("")
            formula = getattr(formula, "text", None) or type(formula).__name__
        return Cell(
            "",
            str(formula),
            fault="this formula was never computed, so that it has no value",
            remedy="open the workbook in Excel, let it compute, and save it",
        )
    if cell.data_type == "e" or (isinstance(value, str) and value.strip() in _ERRORS):
        return _error(str(value).strip())
    if isinstance(value, bool):
        return Cell(
            "",
            str(value).upper(),
            fault="this is a truth value, not what was typed",
            remedy="format the cell as text and type it again",
        )
    if isinstance(value, (datetime, date, time, timedelta)):
        return Cell(
            "",
            str(value),
            fault="the spreadsheet took this for a date or a time",
            remedy="format the cell as number or as text and type what was meant again",
        )
    if isinstance(value, (int, float, Decimal)):
        return _excel_number(value, str(cell.number_format or "General"))
    return Cell("", clean(str(value)))


def _excel_number(value: int | float | Decimal, number_format: str) -> Cell:
    scaled, suffix = _suffix_of(number_format)
    # Through decimal digits: 0.07 * 100 is 7.000000000000001 in binary.
    number = float(Decimal(repr(float(value))) * 100) if scaled else float(value)
    if not number.is_integer():
        return Cell("", repr(number), number, suffix)
    if abs(number) >= 10**_DIGITS:
        return Cell(
            "",
            f"{number:.0f}",
            number,
            suffix,
            fault=f"the spreadsheet keeps only {_DIGITS} digits of a number, so that the last ones are lost",
            remedy="format the column as text and type or import it again",
        )
    # A format of zeros alone is how people keep the leading zeros of an id.
    zeros = len(number_format) if re.fullmatch("0+", number_format) and number >= 0 else 0
    return Cell("", f"{int(number):0{zeros}d}", number, suffix)


def _suffix_of(number_format: str) -> tuple[bool, str]:
    r"""Whether a format multiplies by 100, and what it shows behind the number.

    Example:
        >>> _suffix_of("0.0%"), _suffix_of('0.0" mm2";[Red]-0.0'), _suffix_of("0.00\\ \\%"), _suffix_of("General")
        ((True, '%'), (False, 'mm2'), (False, '%'), (False, ''))
    """
    first = re.match(r'(?:"[^"]*"|\\.|[^;"\\])*', number_format)
    section = re.sub(r"\[[^\]]*\]|[_*].", "", first[0] if first else "")
    literals = "".join(quoted or escaped for quoted, escaped in re.findall(r'"([^"]*)"|\\(.)', section))
    scaled = "%" in re.sub(r'"[^"]*"|\\.', "", section)
    return scaled, clean(("%" if scaled else "") + literals)


def _error(shown: str) -> Cell:
    return Cell(
        "",
        shown,
        fault="this is an error of the spreadsheet, not a value",
        remedy="correct the formula, or empty the cell if nothing was kept",
    )


# Text


def _text_tables(path: Path, data: bytes) -> list[Grid]:
    text, notes = _decoded(path, data)
    told = re.match(r'"?sep=(.)"?\r?\n', text)  # a line that Excel obeys and does not show
    if told is not None:
        text = text[told.end() :]
    separators = (told[1],) if told else _SEPARATORS
    grids = []
    problem: csv.Error | None = None
    for separator in separators:
        try:
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
        except csv.Error as error:
            problem = error
            continue
        rows = {
            number: [_text_cell(cell) for cell in line]
            for number, line in enumerate(lines, start=1)
            if any(clean(cell).strip(",;|") for cell in line)
        }
        if rows:
            grids.append(Grid(str(path), rows, notes=notes))
    if problem is not None and not grids:
        raise ReadError(
            "this is not a table", where=path, found=problem, remedy="look for a double quote that is never closed"
        ) from problem
    if not grids:
        raise ReadError("the file is empty", where=path, expected="a header and rows")
    return grids


def _text_cell(text: str) -> Cell:
    shown = clean(text)
    if shown in _ERRORS:
        return _error(shown)
    if shown.startswith("=") and len(shown) > 1:
        # ="007" is how some programs keep Excel from eating zeros.
        quoted = re.fullmatch(r'="([^"]*)"', shown)
        if quoted:
            return Cell("", clean(quoted[1]))
        return Cell("", shown, fault="this is a formula, not a value", remedy="save the table again with values")
    return Cell("", shown)


def _decoded(path: Path, data: bytes) -> tuple[str, tuple[str, ...]]:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    notes: tuple[str, ...] = ()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            text = "\0"
        notes = (f"not UTF-8 (row {row}): read as Windows-1252, so look at names with accents",)
    # What is no text is full of characters that no keyboard types.
    if any(unicodedata.category(c) == "Cc" and c not in "\t\r\n\f\v" for c in text):
        raise ReadError("this is not a text file", where=path, remedy="save the table as 'CSV UTF-8' or as .xlsx")
    return text, notes
