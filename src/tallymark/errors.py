"""Every error that a user can cause, drawn once.

The tree (exit code of the command line in brackets)::

    TallymarkError [1]          anything below; catch this one to catch all
    ├── ConfigError [2]         a setting, an option or an argument: unknown key, wrong type, out of range
    ├── StudyError [3]          the study folder and its tables: ids, numbers, structures, groups, splits, marks
    ├── ReadError [4]           a file that cannot be read: missing, truncated, of a kind we do not know
    ├── GeometryError [5]       shapes, spacings or orientations that do not fit together
    ├── CheckpointError [6]     a model file that cannot be used: other version, other network, damaged
    ├── StorageError [7]        a file that cannot be written: full disk, no permission, read-only folder
    └── EvaluationError [8]     an evaluation that would be incomplete: a prediction or a truth is missing

Each says where (file, row, key), what was found, what was expected and what to do, in one line.
A bug in tallymark itself is none of these and keeps its traceback.
"""

from __future__ import annotations


class TallymarkError(Exception):
    """An error that the user can put right.

    Args:
        what: the one thing that is wrong, in plain words.
        where: the file, row, column or key, for example ``"cases.csv, row 4, column id"``.
        found: what stands there.
        expected: what should stand there.
        remedy: what the user can do about it.

    Example:
        >>> print(StudyError("this id occurs twice", where="cases.csv, row 4", found="'a'", remedy="rename one"))
        cases.csv, row 4: this id occurs twice; found 'a'; to mend it: rename one
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: object | None = None,
        found: object | None = None,
        expected: object | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.found = None if found is None else str(found)
        self.expected = None if expected is None else str(expected)
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.found is not None:
            parts.append(f"found {self.found}")
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        if self.remedy is not None:
            parts.append(f"to mend it: {self.remedy}")
        return "; ".join(parts)


class ConfigError(TallymarkError):
    """A setting, an option or an argument cannot be used."""

    exit_code = 2


class StudyError(TallymarkError):
    """The study folder or one of its tables contradicts itself."""

    exit_code = 3


class ReadError(TallymarkError):
    """A file cannot be read."""

    exit_code = 4


class GeometryError(TallymarkError):
    """Shapes, spacings or orientations do not fit together."""

    exit_code = 5


class CheckpointError(TallymarkError):
    """A model file cannot be used."""

    exit_code = 6


class StorageError(TallymarkError):
    """A file cannot be written; what was there before is still there."""

    exit_code = 7


class EvaluationError(TallymarkError):
    """An evaluation would be incomplete."""

    exit_code = 8
