"""Where the marks of a study are: in its folder, or in the database that its settings name."""

from __future__ import annotations

from pathlib import Path

from tallymark.data.mark_file import MarkFile
from tallymark.data.mark_tables import MarkTables
from tallymark.data.settings import StudySettings
from tallymark.errors import StudyError

MARKS = "marks.sqlite"


def mark_place(folder: Path, settings: StudySettings) -> Path | MarkTables:
    """The file of a study's marks, or its tables on a server.

    Args:
        folder: of the study.
        settings: of the study.

    Raises:
        ConfigError: the address of the database cannot be used, or its driver is not installed.
        StudyError: marks are in the folder, and the settings name a database.

    Example:
        >>> mark_place(Path("study"), StudySettings(name="busi", structures=("lesion",))).name
        'marks.sqlite'
    """
    file = folder / MARKS
    if settings.marks.url is None:
        return file
    if file.exists():
        raise StudyError(
            "this study has marks in two places",
            where=folder,
            found=f"{MARKS}, and key marks.url of study.toml",
            remedy="remove the key, and let 'tallymark move-marks' bring the marks to the database",
        )
    return open_tables(folder, settings)


def open_tables(folder: Path, settings: StudySettings) -> MarkTables:
    """The tables in the database that the settings name.

    Raises:
        ConfigError: none is named, its address cannot be used, or its driver is not installed.
    """
    # Not at the top: only who names a database needs SQLAlchemy.
    from tallymark.data.database_url import database_url
    from tallymark.data.mark_server import MarkServer

    url = database_url(settings.marks.url or "", f"{folder / 'study.toml'}, key marks.url")
    if url.get_backend_name() == "sqlite" and url.database:
        return MarkFile(folder / url.database)
    return MarkServer(url, settings.name)
