"""The table that says of which group (patient) each image is: columns ``id`` and ``group``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tallymark.data.findings import some
from tallymark.data.matching import ImageNames
from tallymark.data.table_cells import clean
from tallymark.data.tables import read_table
from tallymark.errors import StudyError, TallymarkError


def read_group_table(path: Path) -> dict[str, str]:
    r"""Read a table of groups.

    Args:
        path: a CSV file with the columns ``id`` and ``group``; more are allowed.

    Returns:
        Group by id, in the order of the table.

    Raises:
        ReadError: the table cannot be read.
        StudyError: a column is missing, a row does not say its group, or an id is in two groups.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "groups.csv"
        >>> _ = path.write_text("id,group\na,P1\nb,P1\n")
        >>> read_group_table(path)
        {'a': 'P1', 'b': 'P1'}
    """
    table = read_table(path, ("id", "group"), extra=True)
    group_of: dict[str, str] = {}
    for row, id, group in zip(table.index, table["id"], table["group"], strict=True):
        if not group:
            raise StudyError(
                "the group is missing",
                where=f"{path}, row {row}, column group",
                remedy="name the patient, or repeat the id where every image is of another patient",
            )
        if group_of.setdefault(id, group) != group:
            raise StudyError(
                f"the image '{id}' is in two groups",
                where=f"{path}, row {row}, column group",
                found=group,
                expected=f"{group_of[id]}, as in an earlier row",
                remedy="keep one of the rows",
            )
    return group_of


def without_group(path: Path, images: Sequence[str]) -> StudyError:
    """The error that a table of groups leaves images out.

    Example:
        >>> print(without_group(Path("groups.csv"), ["a", "b"]))  # doctest: +ELLIPSIS
        groups.csv: images without a group; found 2: a, b; expected a row for every image; ...
    """
    return StudyError(
        "images without a group",
        where=path,
        found=f"{len(images)}: {some(images)}",
        expected="a row for every image; the id is the file name without its suffix",
        remedy="add them to the table",
    )


def groups_of_images(
    path: Path, files: Sequence[Path], folder: Path, names: ImageNames
) -> tuple[dict[Path, str], list[TallymarkError]]:
    r"""The group of every image of a folder, and what is wrong with the table for these images.

    Args:
        path: the table, as :func:`read_group_table` reads it; it may name other images as well.
        files: the images in ``folder``.
        folder: where they lie.
        names: of these images, by which the table calls them.

    Returns:
        Group by image, and the faults: an id that means several images, an image of two groups or of none.

    Raises:
        ReadError: the table cannot be read.
        StudyError: it contradicts itself.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "groups.csv"
        >>> _ = path.write_text("id,group\na,P1\nb.png,P1\n")
        >>> files = [Path("i/a.png"), Path("i/b.png")]
        >>> groups_of_images(path, files, Path("i"), ImageNames(files, Path("i")))[0].values()
        dict_values(['P1', 'P1'])
    """
    group_of: dict[Path, str] = {}
    faults: list[TallymarkError] = []
    for id, group in read_group_table(path).items():
        match, group = names.find(id), clean(group)
        if len(match.images) > 1:
            faults.append(
                StudyError(
                    f"{len(match.images)} images have the name '{id}'",
                    where=path,
                    found=some(str(image) for image in match.images),
                    remedy="write the sub-folder or the suffix into the table",
                )
            )
        elif match.image is not None and group_of.setdefault(match.image, group) != group:
            faults.append(
                StudyError(
                    f"the image '{match.image.name}' is in two groups",
                    where=path,
                    found=f"{group_of[match.image]} and {group}",
                    remedy="keep one of the rows",
                )
            )
    missing = [str(file.relative_to(folder)) for file in files if file not in group_of]
    return group_of, [*faults, *([without_group(path, missing)] if missing else [])]
