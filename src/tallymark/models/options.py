"""Check the options of a network: they come from a user's settings, so that any value of any type may arrive."""

from __future__ import annotations

from tallymark.errors import ConfigError


def at_least(smallest: int, name: str, value: object) -> int:
    """The whole number ``value`` of the option ``name``.

    Raises:
        ConfigError: not a whole number, or below ``smallest``.

    Example:
        >>> at_least(1, "depth", 4)
        4
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        expected = f"a whole number of at least {smallest}"
        raise ConfigError("not a usable size", where=name, found=repr(value), expected=expected)
    return value


def one_or_two(name: str, value: object) -> int:
    """The number of branches ``value`` of the option ``name``.

    Raises:
        ConfigError: neither 1 nor 2.

    Example:
        >>> one_or_two("branches", 2)
        2
    """
    if isinstance(value, bool) or value not in (1, 2):
        raise ConfigError("not a usable number", where=name, found=repr(value), expected="1 or 2")
    return 1 if value == 1 else 2


def probability(name: str, value: object) -> float:
    """The probability ``value`` of the option ``name``, in (0, 1).

    Raises:
        ConfigError: not a number, or outside.

    Example:
        >>> probability("prior", 0.1)
        0.1
    """
    if not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ConfigError("not a usable probability", where=name, found=repr(value), expected="a number in (0, 1)")
    return float(value)
