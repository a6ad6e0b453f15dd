"""Tables as people save them: one clear error each, with the row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.tables import read_table, write_table
from tallymark.errors import ReadError, StudyError, TallymarkError


def _write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", ReadError, "empty"),
        (b" \n\n", ReadError, "empty"),
        (b"id\n1\n", StudyError, "row 1: the column 'value' is missing; found id; expected id, value, note"),
        (b"id,value,colour\na,1,2\n", StudyError, "row 1: the column 'colour' is unknown"),
        (b"id,value,id\na,1,2\n", StudyError, "row 1: a column is there twice; found 'id'"),
        (b"id,value\na,1\nb\n", StudyError, "row 3: this row does not fit the header; found 1 cells; expected 2"),
        (b"id,value\na,1,2\n", StudyError, "row 2: this row does not fit the header; found 3 cells"),
        (b"id,value\na,1\n\xe9,2\n", ReadError, "row 3: this is not UTF-8 text; found the byte 0xe9"),
        (b"PK\x03\x04\x00\x00", ReadError, "not a text file"),
        (b"id;value\na;1,5\n", StudyError, "row 1: the cells are not separated by commas"),
        (b'id,value\n"a,1\nb,2\n', ReadError, "double quote that is never closed"),
    ],
)
def test_each_fault_has_its_error(tmp_path: Path, content: bytes, error: type[TallymarkError], says: str) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(error) as caught:
        read_table(path, ["id", "value"], ["note"])
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_table_and_a_folder_are_read_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ReadError, match="cannot be read"):
            read_table(path, ["id"])


def test_a_spreadsheet_export_is_read_as_meant(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, quoted line breaks, blank rows, cells with spaces."""
    path = _write(tmp_path, b'\xef\xbb\xbfvalue, id\r\n1 ,"a ""x"", b"\r\n,\r\n\r\n2,"c\r\nd"\r\n')
    frame = read_table(path, ["id", "value"], ["note"])
    assert list(frame.columns) == ["id", "value", "note"]
    assert frame.index.tolist() == [2, 5]
    assert frame.to_numpy().tolist() == [['a "x", b', "1", ""], ["c\r\nd", "2", ""]]


def test_cells_are_text_that_nothing_interprets(tmp_path: Path) -> None:
    frame = read_table(_write(tmp_path, "id,value\n007,NA\nnull,1e3\n"), ["id", "value"])
    assert frame.to_numpy().tolist() == [["007", "NA"], ["null", "1e3"]]


def test_extra_columns_come_back_last_when_asked(tmp_path: Path) -> None:
    frame = read_table(_write(tmp_path, "class,id\nx,a\n"), ["id"], extra=True)
    assert frame.to_numpy().tolist() == [["a", "x"]]


_CELL = st.text(st.characters(exclude_categories=["C"]), max_size=8).map(str.strip)


@given(st.lists(st.tuples(_CELL, _CELL).filter(any), min_size=1, max_size=5))
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    write_table(path, pd.DataFrame(rows, columns=["a", "b"]))
    assert read_table(path, ["a", "b"]).to_numpy().tolist() == [list(row) for row in rows]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_exactly(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    write_table(path, pd.DataFrame({"a": [value]}))
    assert float(read_table(path, ["a"])["a"].iloc[0]) == value
