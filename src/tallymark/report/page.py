"""From content to one HTML file that needs nothing beside it: no script, no font, no picture, no network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tallymark.data.atomic import write_text
from tallymark.errors import EvaluationError, ReadError
from tallymark.pictures import bland_altman, colour_hex, number_scatter, structure_colour
from tallymark.report.content import MISSING, Floor, ReportContent, RunSummary, Score

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Row:
    """One line of the table of scores: a run or a floor, for one structure or statistic."""

    name: str
    kind: str
    subject: str
    badge: str
    span: int  # over how many lines the name reaches; 0: the line above has it
    cells: tuple[str, ...]


def write_report(content: ReportContent, path: Path) -> Path:
    """Write the page; folders on the way are made, an older page is replaced in one step.

    Returns:
        ``path``.

    Raises:
        ReadError: a picture that the content names cannot be read.
        StorageError: the page cannot be written; what was there before is still there.
    """
    write_text(path, render(content))
    return path


def render(content: ReportContent) -> str:
    """The page as HTML: light and dark by the reader's setting, fit for print, every text escaped.

    Raises:
        ReadError: a picture that the content names is missing or is no PNG.

    Example:
        >>> from tallymark.report.content import ReportContent, RunSummary, Score
        >>> run = RunSummary("first", "paper", 0, True, (Score("Overlap (IoU)", 0.5),))
        >>> page = render(ReportContent("Report", "A < B", (run,)))
        >>> "A &lt; B" in page, "0.500" in page
        (True, True)
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tallymark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"embedded": embedded, "flattened": flattened}
    columns = _columns(content)
    rows = list(_rows(content, [score.name for score in columns]))
    return environment.get_template("report.html").render(
        content=content,
        columns=columns,
        rows=rows,
        several_subjects=any(row.subject for row in rows),
        colours=[colour_hex(structure_colour(index)) for index in range(max(1, len(content.structures)))],
        agreement=[(run, plots) for run in content.runs if (plots := list(_agreement(run)))],
    )


def embedded(picture: bytes | Path) -> str:
    r"""A PNG as a data URI.

    Raises:
        ReadError: no such file, or not a PNG.

    Example:
        >>> embedded(b"\x89PNG\r\n\x1a\n")
        'data:image/png;base64,iVBORw0KGgo='
    """
    content, where = picture, "picture"
    if isinstance(picture, Path):
        where = str(picture)
        try:
            content = picture.read_bytes()
        except OSError as error:
            raise ReadError("cannot be read", where=where, found=error.strerror) from error
    assert isinstance(content, bytes)
    if not content.startswith(_PNG):
        raise ReadError("not a PNG", where=where, found=f"{len(content)} bytes", remedy="write the picture again")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def flattened(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as ``section.key`` and value.

    Example:
        >>> list(flattened({"seed": 3, "losses": {"weak": {"weight": 1.0}}}))
        [('seed', '3'), ('losses.weak.weight', '1.0')]
    """
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "none" if value is None else str(value)


def _columns(content: ReportContent) -> list[Score]:
    """The first score of every name that has a value anywhere, in the order in which the runs give them."""
    owners: Iterable[RunSummary | Floor] = (*content.runs, *content.floors)
    first: dict[str, Score] = {}
    for owner in owners:
        for score in owner.scores:
            if score.text != MISSING:
                first.setdefault(score.name, score)
    return list(first.values())


def _rows(content: ReportContent, columns: list[str]) -> Iterator[Row]:
    for run in content.runs:
        kind, badge = ("weak", "no full masks") if run.mask_free else ("masks", "full masks")
        yield from _rows_of(run.name, kind, run.learned_from or badge, run.scores, columns)
    for floor in content.floors:
        yield from _rows_of(floor.name, "floor", "never looks at the image", floor.scores, columns)


def _rows_of(name: str, kind: str, badge: str, scores: tuple[Score, ...], columns: list[str]) -> Iterator[Row]:
    subjects = list(dict.fromkeys(score.subject for score in scores))
    for number, subject in enumerate(subjects):
        texts = {score.name: score.text for score in scores if score.subject == subject}
        span = 0 if number else len(subjects)
        yield Row(name, kind, subject, badge, span, tuple(texts.get(column, "") for column in columns))


def _agreement(run: RunSummary) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, Bland-Altman plot and scatter of every number of a run that has pairs."""
    for pairs in run.numbers:
        try:
            yield (
                pairs.name,
                bland_altman(pairs.predicted, pairs.recorded, name=pairs.name, unit=pairs.unit),
                number_scatter(pairs.predicted, pairs.recorded, name=pairs.name, unit=pairs.unit),
            )
        except EvaluationError:
            continue  # no image has both numbers: the table says n/a, there is nothing to draw
