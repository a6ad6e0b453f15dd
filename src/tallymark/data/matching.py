"""Which image of a folder a row of a table means, by name, never by likeness."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tallymark.data.formats import SUFFIXES, suffix_of
from tallymark.errors import ReadError


def list_images(folder: Path | str, *, recursive: bool = True) -> list[Path]:
    """Every image in a folder and its sub-folders, sorted; hidden files are passed over.

    Args:
        folder: where the images lie.
        recursive: look into sub-folders too.

    Returns:
        Their paths, starting with ``folder``.

    Raises:
        ReadError: there is no such folder, or no image in it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("b.PNG", "a.nii.gz", "notes.txt", ".hidden.png"):
        ...     (folder / name).touch()
        >>> [path.name for path in list_images(folder)]
        ['a.nii.gz', 'b.PNG']
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReadError("there is no such folder", where=folder, remedy="give the folder that holds the images")
    found = [
        path
        for path in sorted(folder.rglob("*") if recursive else folder.iterdir())
        if suffix_of(path) in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise ReadError("no image is in this folder", where=folder, expected=f"files ending in {', '.join(SUFFIXES)}")
    return found


def stem_of(path: Path) -> str:
    """The name of a file without its suffix.

    Example:
        >>> stem_of(Path("x/a.nii.gz"))
        'a'
    """
    return path.name[: len(path.name) - len(suffix_of(path))]


def case_ids(files: Sequence[Path], folder: Path) -> dict[Path, str]:
    """A safe id for each image: its name without the suffix, with its sub-folder and suffix where names repeat.

    Args:
        files: images in ``folder``.
        folder: where they lie.

    Returns:
        The id of each; no two are the same, not even in letters of another case.

    Example:
        >>> list(case_ids([Path("i/1/a.png"), Path("i/2/a.png"), Path("i/b.png")], Path("i")).values())
        ['1_a', '2_a', 'b']
    """
    by_name: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_name[_folded(stem_of(file))].append(file)
    ids: dict[Path, str] = {}
    taken: set[str] = set()
    for file in files:
        inside = file.relative_to(folder)
        longer = "_".join((*inside.parts[:-1], stem_of(file)))
        options = [longer, longer + suffix_of(file).replace(".", "_")]
        if len(by_name[_folded(stem_of(file))]) == 1:
            options.insert(0, stem_of(file))
        numbered = (f"{options[-1]}_{number}" for number in range(2, len(files) + 2))
        ids[file] = next(name for name in (*options, *numbered) if _folded(name) not in taken)
        taken.add(_folded(ids[file]))
    return ids


@dataclass(frozen=True)
class Match:
    """What a name in a table means.

    Args:
        images: one if it is clear, several if it is not, none if there is none.
        how: the rule that found them: path, file name, stem, letter case or number.
        hint: what may have gone wrong where nothing was found; empty if nothing comes to mind.
    """

    images: tuple[Path, ...]
    how: str = ""
    hint: str = ""

    @property
    def image(self) -> Path | None:
        """The image, if it is clear which."""
        return self.images[0] if len(self.images) == 1 else None


class ImageNames:
    """The names of images, to be asked for.

    The rules in their order; the first that finds anything decides: the path inside of the folder, the file name, the
    name without its suffix, the same in letters of any case, and, only if asked for, the same whole number.

    Args:
        files: the images in ``folder``.
        folder: where they lie.
        as_numbers: take 7 for 007: spreadsheets drop leading zeros.

    Example:
        >>> names = ImageNames([Path("i/007.png"), Path("i/Left.PNG"), Path("i/x/a.png"), Path("i/y/a.png")], Path("i"))
        >>> names.find("007").how, names.find("left").how, len(names.find("a").images), names.find("x/a.png").how
        ('stem', 'letter case', 2, 'path')
        >>> names.find("7").hint
        "the spreadsheet may have dropped the zeros of '007.png': with --ids-as-numbers 7 means 007"
    """

    def __init__(self, files: Sequence[Path], folder: Path, *, as_numbers: bool = False) -> None:
        # A file at the top has no path but its name, which another file may bear in a sub-folder.
        inside = ((file, PurePosixPath(file.relative_to(folder).as_posix())) for file in files)
        paths = {file: path for file, path in inside if len(path.parts) > 1}
        self._rules: list[tuple[str, Mapping[str, list[Path]]]] = [
            ("path", _index((_plain(str(path)), file) for file, path in paths.items())),
            ("path", _index((_plain(str(path.with_name(stem_of(file)))), file) for file, path in paths.items())),
            ("file name", _index((_plain(file.name), file) for file in files)),
            ("stem", _index((_plain(stem_of(file)), file) for file in files)),
            ("letter case", _index((_folded(name), file) for file in files for name in (file.name, stem_of(file)))),
        ]
        self._numbers = _index((number, file) for file in files if (number := _number(stem_of(file))))
        self._as_numbers = as_numbers

    def find(self, name: str) -> Match:
        """The images that a name means."""
        wanted = name.replace("\\", "/").removeprefix("./")
        for how, index in self._rules:
            found = index.get(_folded(wanted) if how == "letter case" else _plain(wanted), [])
            if found:
                return Match(tuple(found), how)
        numbered = self._numbers.get(_number(wanted), []) if _number(wanted) else []
        if numbered and self._as_numbers:
            return Match(tuple(numbered), "number")
        if numbered:
            hint = f"the spreadsheet may have dropped the zeros of '{numbered[0].name}': "
            return Match((), hint=f"{hint}with --ids-as-numbers {name} means {stem_of(numbered[0])}")
        near = difflib.get_close_matches(_folded(wanted), self._rules[-1][1], n=1, cutoff=0.8)
        return Match((), hint=f"is '{self._rules[-1][1][near[0]][0].name}' meant?" if near else "")


def members(group: str, files: Iterable[Path], folder: Path) -> list[Path]:
    """The images of a group: those in its sub-folder, and those whose name is the group's, or starts with it and goes
    on behind ``_``, ``-``, a point or a blank.

    Args:
        group: its name.
        files: images in ``folder``.
        folder: where they lie.

    Returns:
        Its images, in the order of ``files``.

    Example:
        >>> files = [Path("i/P1/a.png"), Path("i/P1_left.png"), Path("i/P10_left.png")]
        >>> [str(path) for path in members("P1", files, Path("i"))]
        ['i/P1/a.png', 'i/P1_left.png']
    """
    starts = re.compile(rf"{re.escape(_plain(group))}(?:[_\-. ].*)?")
    return [
        file
        for file in files
        if _plain(group) in map(_plain, file.relative_to(folder).parts[:-1]) or starts.fullmatch(_plain(stem_of(file)))
    ]


def _index(entries: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    index: dict[str, list[Path]] = {}
    for name, file in entries:
        found = index.setdefault(name, [])
        if file not in found:
            found.append(file)
    return index


def _plain(name: str) -> str:
    # Some systems store an accented letter in two characters, some in one.
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _plain(name).casefold()


def _number(name: str) -> str:
    """The whole number that a name is, without leading zeros; empty if it is none."""
    match = re.fullmatch(r"0*(\d+)(?:\.0+)?", name)
    return match[1] if match else ""
