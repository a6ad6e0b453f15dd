"""The study folder: images, what their numbers mean, the numbers, the marks and, for those who may look, the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from tallymark.data.atomic import replacing, write_text
from tallymark.data.cases import Case, cases_table, check_cases, read_cases
from tallymark.data.images import file_sha256
from tallymark.data.mark_place import mark_place
from tallymark.data.marks import MarkStore
from tallymark.data.numbers import RECORDED, Number, NumberRow, NumberRules, read_numbers, write_numbers
from tallymark.data.settings import SPLITS, ImageSettings, SplitSettings, StudySettings
from tallymark.data.splits import Fold, assign_fold, assign_splits
from tallymark.data.tables import write_table
from tallymark.data.truth import Truth, TruthRow, check_truth_names, truth_table
from tallymark.errors import StudyError
from tallymark.measure.definition import Statistic

__all__ = [
    "RECORDED",
    "SPLITS",
    "Case",
    "ImageSettings",
    "Number",
    "NumberRow",
    "SplitSettings",
    "Study",
    "StudySettings",
    "Truth",
    "TruthRow",
]

SETTINGS, CASES, NUMBERS, TRUTH = "study.toml", "cases.csv", "statistics.csv", "truth.csv"


class Study:
    """A study folder that was found to be sound. Make one with :meth:`create`, open one with :meth:`open`.

    Args:
        folder: the study folder.
        settings: of ``study.toml``.
        cases: of ``cases.csv``.
        numbers: of ``statistics.csv``.
    """

    def __init__(
        self, folder: Path, settings: StudySettings, cases: tuple[Case, ...], numbers: tuple[NumberRow, ...]
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.cases = cases
        self._numbers = numbers
        self._by_id = {case.id: case for case in cases}

    @classmethod
    def create(
        cls,
        folder: Path | str,
        settings: StudySettings,
        cases: Sequence[Case],
        truth: Iterable[TruthRow] | None = None,
        numbers: Iterable[NumberRow] = (),
        *,
        overwrite: bool = False,
    ) -> Study:
        """Make a study folder, all or nothing.

        A case without SHA-256 gets that of its image, one without group is a group of its own. If no case has a
        split, whole groups are dealt as the settings say (:func:`assign_splits`).

        Args:
            folder: where; made if missing.
            settings: what the numbers mean and how images are read.
            cases: the images.
            truth: the full masks, if there are any.
            numbers: the kept numbers, in the units of the settings.
            overwrite: replace the study that is there. Its marks and runs are kept in any case.

        Returns:
            The study, opened.

        Raises:
            StudyError: the folder holds a study already, or what is to be stored contradicts itself.
            ReadError: an image or a mask cannot be read.
            StorageError: the folder cannot be written; a study that was there is as before.

        Example:
            >>> import tempfile, PIL.Image
            >>> folder = Path(tempfile.mkdtemp())
            >>> PIL.Image.new("L", (4, 4)).save(folder / "a.png")
            >>> settings = StudySettings(
            ...     name="demo", structures=("lesion",), statistics=(Statistic("share", "area_fraction", ("lesion",)),)
            ... )
            >>> numbers = [NumberRow("a", "share", value=0.25)]
            >>> study = Study.create(folder / "study", settings, [Case("a", folder / "a.png")], numbers=numbers)
            >>> study.case("a").split, study.numbers()["a", "share"].value
            ('train', 0.25)
        """
        folder = Path(folder)
        there = [name for name in (SETTINGS, CASES, NUMBERS, TRUTH) if (folder / name).exists()]
        if there and not overwrite:
            raise StudyError(
                "this folder holds a study already",
                where=folder,
                found=", ".join(there),
                remedy="choose another folder, or move this study away; import also has --overwrite",
            )
        cases = _completed(cases, settings)
        check_cases(cases, [f"case {number}" for number in range(1, len(cases) + 1)], settings.image.dimension)
        rows = tuple(numbers)
        _rules(settings, cases).check(rows, [f"number {position}" for position in range(1, len(rows) + 1)])
        masks = None if truth is None else _checked_truth(truth, cases, settings)
        # All content is on the disk before any name changes, and while names change there is no study.toml: a folder
        # is a study from the moment on that all of it is there. The stack leaves in reverse, study.toml last.
        with ExitStack() as stack:
            write_text(stack.enter_context(replacing(folder / SETTINGS)), settings.to_toml())
            for name, write in _tables(folder, cases, rows, masks):
                write(stack.enter_context(replacing(folder / name)))
            (folder / SETTINGS).unlink(missing_ok=True)
            if masks is None:
                (folder / TRUTH).unlink(missing_ok=True)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str) -> Study:
        """Open a study folder and check all of it but the marks and the truth, which are opened when asked for.

        Args:
            folder: the study folder. The images need not be there.

        Returns:
            The study.

        Raises:
            StudyError: no study, another format, or a table that contradicts itself or another; file, row and column
                (or key) are named.
            ReadError: a file that cannot be read.
        """
        folder = Path(folder)
        if not (folder / SETTINGS).exists():
            half = (folder / CASES).exists()
            raise StudyError(
                "this study was not made to the end" if half else "this folder holds no study",
                where=folder,
                expected=f"a file {SETTINGS}",
                remedy="make the study again, and overwrite it" if half else "name a study folder, or make one",
            )
        settings = StudySettings.from_toml(folder / SETTINGS)
        cases = read_cases(folder / CASES, settings.image.dimension)
        numbers = read_numbers(folder / NUMBERS, _rules(settings, cases)) if (folder / NUMBERS).exists() else ()
        return cls(folder, settings, cases, numbers)

    @property
    def structures(self) -> tuple[str, ...]:
        """What is segmented, in the order of every mask's channels."""
        return self.settings.structures

    @property
    def wholes(self) -> tuple[tuple[str, str], ...]:
        """Structures that make up one whole, in pairs: those that a ratio divides."""
        return tuple(dict.fromkeys(each.parts for each in self.statistics if each.parts is not None))

    @property
    def statistics(self) -> tuple[Statistic, ...]:
        """What the numbers mean."""
        return self.settings.statistics

    @cached_property
    def marks(self) -> MarkStore:
        """Every mark; the file (or the database of the settings) is opened at the first use.

        Raises:
            ConfigError: the settings name a database that cannot be reached.
            StudyError: there is a file of marks as well.
        """
        place = mark_place(self.folder, self.settings)
        return MarkStore(place, structures=self.structures, case_ids=frozenset(self._by_id))

    @property
    def has_truth(self) -> bool:
        """Whether the study has full masks; they are not opened for that."""
        return (self.folder / TRUTH).exists()

    @cached_property
    def truth(self) -> Truth:
        """The full masks; ``truth.csv`` is opened here and nowhere else.

        Raises:
            StudyError: the study has none, or the table contradicts the study.
            ReadError: the table cannot be read.
        """
        return Truth(self.folder / TRUTH, frozenset(self._by_id), self.structures)

    def split(self, name: str) -> tuple[Case, ...]:
        """The cases of a split, in the order of the table; empty if it has none.

        Raises:
            StudyError: no split has this name.
        """
        if name not in SPLITS:
            raise StudyError("unknown split", found=repr(name), expected=", ".join(SPLITS))
        return tuple(case for case in self.cases if case.split == name)

    def fold(self, fold: Fold | str | None) -> Study:
        """This study with the splits of a fold of a cross-validation, in memory alone; nothing is written.

        Groups are dealt anew as the settings say (:func:`assign_fold`), whatever the splits of the table are. So the
        folds are the same in every run and on every machine, and every case is in the test split of exactly one.

        Args:
            fold: ``"2/5"``: the second of five; None: the study as it is.

        Raises:
            ConfigError: there is no such fold.
            StudyError: more folds than the study's groups allow.
        """
        if fold is None:
            return self
        fold = Fold.parse(fold) if isinstance(fold, str) else fold
        rule = self.settings.split
        groups, strata = [case.group for case in self.cases], [case.stratum for case in self.cases]
        splits = assign_fold(groups, strata, rule.shares, rule.seed, fold)
        cases = tuple(replace(case, split=split) for case, split in zip(self.cases, splits, strict=True))
        return Study(self.folder, self.settings, cases, self._numbers)

    def case(self, id: str) -> Case:
        """The case with this id.

        Raises:
            StudyError: there is none.
        """
        if id not in self._by_id:
            raise StudyError("no such case", where=self.folder / CASES, found=repr(id))
        return self._by_id[id]

    def numbers(self, variant: str | None = None) -> dict[tuple[str, str], Number]:
        """The numbers of images, by case id and statistic, in canonical units.

        Args:
            variant: None: the recorded ones if there are any, else the only simulated ones.

        Returns:
            One entry per row; what was not kept has none, or NaN.

        Raises:
            StudyError: no such variant; or none named, and there is none, or several simulated ones.
        """
        return self._of_level("image", self._variant(variant))

    def group_numbers(self, variant: str | None = None) -> dict[tuple[str, str], Number]:
        """The numbers that are known only per group of images, by group and statistic; else as :meth:`numbers`."""
        return self._of_level("group", self._variant(variant))

    def number_variants(self) -> tuple[str, ...]:
        """The variants of numbers that there are, the recorded ones first."""
        names = dict.fromkeys(row.variant for row in self._numbers)
        return tuple(sorted(names, key=lambda name: (name != RECORDED, name)))

    def add_numbers(self, rows: Iterable[NumberRow], variant: str) -> None:
        """Store the numbers of a variant as a whole.

        Args:
            rows: in the units of the settings; their own variant does not count.
            variant: a simulated variant takes the place of the one of that name. Recorded numbers are never replaced.

        Raises:
            StudyError: there are recorded numbers already, or a row contradicts the study.
            StorageError: the table cannot be written; it is as before.
        """
        if variant == RECORDED and RECORDED in self.number_variants():
            raise StudyError(
                "recorded numbers are never replaced",
                where=self.folder / NUMBERS,
                remedy="choose another name for simulated numbers; correct recorded ones in the table itself",
            )
        added = tuple(replace(row, variant=variant) for row in rows)
        wheres = [f"number {position} of '{variant}'" for position in range(1, len(added) + 1)]
        _rules(self.settings, self.cases).check(added, wheres)
        kept = tuple(row for row in self._numbers if row.variant != variant)
        write_numbers(self.folder / NUMBERS, (*kept, *added))
        self._numbers = (*kept, *added)

    def _variant(self, name: str | None) -> str:
        names = self.number_variants()
        if name is None and (RECORDED in names or len(names) == 1):
            return names[0]
        if name is None or name not in names:
            raise StudyError(
                f"there are no numbers of the variant '{name}'" if name else "which numbers?",
                where=self.folder / NUMBERS,
                found=", ".join(names) or "no numbers",
                remedy="name one of them with --numbers"
                if names
                else "add numbers, or simulate them from masks (weaken)",
            )
        return name

    def _of_level(self, level: str, variant: str) -> dict[tuple[str, str], Number]:
        scale = {statistic.name: statistic.scale for statistic in self.statistics}
        rows = (row for row in self._numbers if row.level == level and row.variant == variant)
        return {(row.id, row.statistic): row.canonical(scale[row.statistic]) for row in rows}


def _rules(settings: StudySettings, cases: Sequence[Case]) -> NumberRules:
    statistics = {statistic.name: statistic for statistic in settings.statistics}
    return NumberRules(statistics, frozenset(case.id for case in cases), frozenset(case.group for case in cases))


def _completed(cases: Sequence[Case], settings: StudySettings) -> tuple[Case, ...]:
    """Cases with absolute paths, digests, groups and splits."""
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda case: case.sha256 or file_sha256(case.image), cases))
    groups = [case.group or case.id for case in cases]
    splits = [case.split for case in cases]
    if not any(splits):
        strata = [case.stratum for case in cases]
        splits = assign_splits(groups, strata, settings.split.shares, settings.split.seed)
    return tuple(
        replace(case, image=Path(case.image).resolve(), sha256=digest, group=group, split=split)
        for case, digest, group, split in zip(cases, digests, groups, splits, strict=True)
    )


def _checked_truth(rows: Iterable[TruthRow], cases: Sequence[Case], settings: StudySettings) -> tuple[TruthRow, ...]:
    """Rows of known cases and structures, with absolute paths and digests."""
    rows = tuple(rows)
    ids = {case.id for case in cases}
    for number, row in enumerate(rows, start=1):
        check_truth_names(row.id, row.structure, f"full mask {number}", ids, settings.structures)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(lambda row: row.sha256 or file_sha256(row.path), rows))
    return tuple(
        replace(row, path=Path(row.path).resolve(), sha256=digest) for row, digest in zip(rows, digests, strict=True)
    )


def _tables(
    folder: Path, cases: Sequence[Case], rows: Sequence[NumberRow], masks: Sequence[TruthRow] | None
) -> list[tuple[str, Callable[[Path], None]]]:
    """The tables of a study and what writes each."""
    tables: list[tuple[str, Callable[[Path], None]]] = [
        (CASES, lambda path: write_table(path, cases_table(cases, folder))),
        (NUMBERS, lambda path: write_numbers(path, rows)),
    ]
    if masks is not None:
        tables.append((TRUTH, lambda path: write_table(path, truth_table(masks, folder))))
    return tables
