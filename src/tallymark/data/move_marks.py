"""The marks of a study brought to another database, with their authors, their times and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallymark.data.atomic import write_text
from tallymark.data.mark_place import MARKS, open_tables
from tallymark.data.mark_queries import COLUMNS, SETS, insert, origin_of
from tallymark.data.mark_tables import MarkTables
from tallymark.data.settings import MarksSettings
from tallymark.data.study import SETTINGS, Study
from tallymark.errors import StorageError, StudyError

MOVED = "marks-moved.sqlite"

_ROWS = f"SELECT {', '.join(COLUMNS)} FROM mark ORDER BY number"


def move_marks(study: Study, url: str) -> int:
    """Copy every row to a database, compare, and let the study's settings name the database from then on.

    The file stays beside the study as ``marks-moved.sqlite``.

    Args:
        study: whose marks lie in its folder; nobody marks meanwhile.
        url: of the database, without a password; it holds no marks yet.

    Returns:
        How many rows were moved; the undone and the cleared are among them.

    Raises:
        ConfigError: the address cannot be used, or its driver is not installed.
        StudyError: the marks are in a database already, that database holds marks, or marks were moved before.
        StorageError: the database cannot be written, or does not give back what was written.
    """
    if study.settings.marks.url is not None:
        raise StudyError("the marks of this study are in a database already", where=study.marks.place)
    settings = study.settings.model_copy(update={"marks": MarksSettings(url=url)})
    moved = study.folder / MOVED
    if moved.exists():
        raise StudyError("marks were moved out of this study before", where=moved, remedy="rename this file")
    target = open_tables(study.folder, settings)
    rows = study.marks.tables.rows(_ROWS)
    if target.rows("SELECT 1 FROM mark"):
        raise StudyError("this database holds marks already", where=target.place, remedy="name an empty one")
    _copy(study.marks.tables.rows(SETS), rows, target)
    if target.rows(_ROWS) != rows:
        raise StorageError("the database does not give back what was written", where=target.place)
    if rows:
        (study.folder / MARKS).rename(moved)
    write_text(study.folder / SETTINGS, settings.to_toml())
    return len(rows)


def _copy(sets: Sequence[Any], rows: Sequence[Any], target: MarkTables) -> None:
    with target.writing() as connection:
        for name, origin in sets:
            origin_of(connection, name, origin)
        for row in rows:
            insert(connection, dict(zip(COLUMNS, row, strict=True)))
