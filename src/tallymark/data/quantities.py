"""From what a cell shows to a number in the unit of its statistic, refusing whatever could be read in two ways."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Literal

from tallymark.data.table_cells import Cell, clean
from tallymark.errors import ConfigError, StudyError, TallymarkError
from tallymark.measure.definition import Statistic

Decimal = Literal["point", "comma"]

_SIGNS: dict[str, str] = {
    "%": "percent",
    "percent": "percent",
    "mm": "mm",
    "cm": "cm",
    "mm2": "mm2",
    "sq mm": "mm2",
    "cm2": "cm2",
    "sq cm": "cm2",
    "mm3": "mm3",
    "cmm": "mm3",
    "ml": "ml",
    "cc": "ml",
    "ccm": "ml",
    "cm3": "ml",
}
"""Units as people write them behind a number, in small letters."""

_IF_PERCENT = "if the numbers are percent, give --unit percent"

_QUANTITY = re.compile(r"(?P<sign>[+\-\u2212]?)(?P<digits>[\d.,'\u2019 ]*\d[.,]?)(?P<power>[eE][+-]?\d+)?(?P<unit>.*)")


def read_quantities(
    cells: Sequence[Cell], statistic: Statistic, *, decimal: Decimal | None = None, missing: Collection[str] = ()
) -> tuple[list[float], list[TallymarkError]]:
    """Read a column of numbers and find everything that is wrong with it.

    Args:
        cells: of the column.
        statistic: what the numbers mean; its unit is that of the numbers.
        decimal: whether texts are written with a decimal point or a decimal comma; None: no comma may occur.
        missing: texts that stand for "not kept", as ``n/a``.

    Returns:
        The numbers in the unit of the statistic, NaN where nothing was kept or what stands there is faulty, and the
        faults, each with the place of its cell.

    Example:
        >>> share = Statistic("share", "area_fraction", of=("fat",), unit="percent")
        >>> read_quantities([Cell("row 2", "12.3 %"), Cell("row 3", "n/a")], share, missing=["n/a"])
        ([12.3, nan], [])
        >>> print(read_quantities([Cell("row 2", "1,234")], share)[1][0])
        row 2: this number has a comma; found '1,234'; to mend it: say with --decimal comma or --decimal point what it \
means
    """
    values: list[float] = []
    faults: list[TallymarkError] = []
    signed: list[Cell] = []
    unsigned: list[Cell] = []
    for cell in cells:
        try:
            value, sign = _quantity(cell, decimal, missing)
            _check_unit(cell, sign, statistic)
            if value and not math.isnan(value):  # nothing is the same in every unit
                (signed if sign else unsigned).append(cell)
        except StudyError as error:
            faults.append(error)
            value = math.nan
        values.append(value)
    mixed = statistic.unit == "percent" and signed and unsigned
    if mixed:
        faults.append(
            StudyError(
                "this column mixes numbers with and without the sign %",
                where=unsigned[0].where,
                found=f"{unsigned[0].shown!r}, but {signed[0].shown!r} with % in {signed[0].where}",
                remedy="give all cells of the column the same format",
            )
        )
    return values, [*faults, *_outside(cells, values, statistic)]


def half_unit(statistic: Statistic, digits: int | None, step: float | None) -> float | None:
    """Half of the unit that numbers were rounded to, in the unit of the table; None if they were not.

    Args:
        statistic: of the numbers.
        digits: kept behind the decimal point.
        step: or the step that was rounded to.

    Raises:
        ConfigError: both are given, or a step that is not above 0 or beyond the range of the statistic.

    Example:
        >>> half_unit(Statistic("share", "area_fraction", of=("fat",), unit="percent"), digits=1, step=None)
        0.05
    """
    if digits is not None and step is not None:
        raise ConfigError("digits and a rounding step exclude each other", where="rounding", remedy="give one of them")
    if digits is not None:
        step = float(f"1e{-digits}")
    if step is None:
        return None
    highest = statistic.bounds[1] / statistic.scale
    if not 0 < step <= highest or math.isinf(step):
        expected = f"above 0, at most {highest:g} {statistic.unit}"
        raise ConfigError("this rounding cannot be", where="rounding", found=f"{step:g}", expected=expected)
    return step / 2


def _quantity(cell: Cell, decimal: Decimal | None, missing: Collection[str]) -> tuple[float, str]:
    """The number as shown, NaN if none was kept, and the unit shown behind it."""
    if cell.shown in missing and cell.shown:
        return math.nan, ""
    cell.refuse()
    if cell.number is not None:
        return cell.number, cell.suffix
    if cell.empty:
        return math.nan, ""
    match = _QUANTITY.fullmatch(cell.shown)
    if match is None:
        raise _not_a_number(cell)
    digits = _plain_digits(cell, match["digits"].strip(), decimal)
    unit = clean(match["unit"])
    if unit and _unit(unit) is None:
        raise _not_a_number(cell)
    sign = "-" if match["sign"] in ("-", "\u2212") else ""
    return float(f"{sign}{digits}{match['power'] or ''}"), unit


def _plain_digits(cell: Cell, digits: str, decimal: Decimal | None) -> str:
    """Digits with a decimal point alone."""
    if "," in digits and decimal is None:
        raise StudyError(
            "this number has a comma",
            where=cell.where,
            found=repr(cell.shown),
            remedy="say with --decimal comma or --decimal point what it means",
        )
    point, mark = (",", ".") if decimal == "comma" else (".", ",")
    whole, _, rest = digits.partition(point)
    groups = re.split(rf"[{re.escape(mark)}'\u2019 ]", whole)
    grouped = len(groups) > 1
    if not re.fullmatch(r"\d*", rest) or not (_are_thousands(groups) if grouped else re.fullmatch(r"\d*", whole)):
        raise _not_a_number(cell, f"the decimal mark was said to be a {decimal}" if mark in digits else None)
    # "1.234" with a decimal comma is 1234 to its reader and 1.234 to the machine that wrote it.
    if grouped and len(groups) == 2 and mark in whole and point not in digits:
        raise StudyError(
            "this number can be read in two ways",
            where=cell.where,
            found=repr(cell.shown),
            expected=f"{''.join(groups)} or {groups[0]}{point}{groups[1]}",
            remedy="write it without a mark between the thousands",
        )
    return f"{''.join(groups) or '0'}.{rest or '0'}"


def _are_thousands(groups: Sequence[str]) -> bool:
    return re.fullmatch(r"\d{1,3}", groups[0]) is not None and all(re.fullmatch(r"\d{3}", g) for g in groups[1:])


def _unit(text: str) -> str | None:
    """The unit that people mean by a text."""
    plain = text.casefold().replace("²", "2").replace("³", "3").replace("^", "").rstrip(".")
    return _SIGNS.get(plain)


def _check_unit(cell: Cell, sign: str, statistic: Statistic) -> None:
    if not sign:
        return
    unit = _unit(sign)
    if unit is None:
        raise StudyError(
            "the format of this cell shows an unknown unit",
            where=cell.where,
            found=repr(sign),
            expected=statistic.unit,
            remedy="format the column as a plain number",
        )
    if unit != statistic.unit:
        raise StudyError(
            f"this cell is in {unit}, but the unit was said to be {statistic.unit}",
            where=cell.where,
            found=repr(cell.shown if cell.number is None else f"{cell.shown} {sign}"),
            remedy=f"give --unit {unit}, or correct the cell",
        )


def _outside(cells: Sequence[Cell], values: Sequence[float], statistic: Statistic) -> list[TallymarkError]:
    """Numbers that cannot be in this unit; one fault if the whole column cannot."""
    lowest, highest = (bound / statistic.scale for bound in statistic.bounds)
    slack = 1e-9 * (highest if math.isfinite(highest) else 1.0)
    kept = [(cell, value) for cell, value in zip(cells, values, strict=True) if value and not math.isnan(value)]
    percent = statistic.unit == "fraction" and 2 * sum(1 < value <= 100 for _, value in kept) > len(kept)
    if statistic.unit == "fraction" and len(kept) > 1 and all(value > 1 for _, value in kept):
        cell, value = kept[0]
        return [
            StudyError(
                f"all {len(kept)} numbers are above 1, so that none is a fraction",
                where=cell.where,
                found=f"{value:g}",
                expected="0 to 1",
                remedy=_IF_PERCENT if percent else "give the --kind and the --unit that they are of",
            )
        ]
    return [
        StudyError(
            f"this cannot be {statistic.kind} in {statistic.unit}",
            where=cell.where,
            found=f"{value:g}",
            expected=f"{lowest:g} to {highest:g}" if math.isfinite(highest) else "0 or more",
            remedy=_IF_PERCENT if percent and 1 < value <= 100 else "correct the cell, or give the right --unit",
        )
        for cell, value in kept
        if not lowest - slack <= value <= highest + slack
    ]


def _not_a_number(cell: Cell, remedy: str | None = None) -> StudyError:
    shown = cell.shown
    remedy = remedy or "write the number alone"
    if re.match(r"[<>≤≥~±]|ca\b|about\b", shown, re.IGNORECASE):
        remedy = "write the number alone, or leave the cell empty: a bound is no number"
    elif re.fullmatch(r"[\d.,]+ ?(-|\u2013|to|/) ?[\d.,]+ ?%?", shown):
        remedy = "write one number, or leave the cell empty"
    elif not any(c.isdigit() for c in shown):
        remedy = f"empty the cell if nothing was kept, or say so with --missing {shown!r}"
    return StudyError("this is not a number", where=cell.where, found=repr(shown), remedy=remedy)
