"""One image under two names: its groups are one group, or the test would hold what was learned."""

from __future__ import annotations

from collections.abc import Sequence

from tallymark.data.near_duplicates import clusters


def join_identical(groups: Sequence[str], digests: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Join the groups that share an identical image.

    Args:
        groups: group of each case.
        digests: of the file that each case was made from. A volume counts as a whole, not slice by slice: blank slices
            of different patients are identical.

    Returns:
        The group of each case, of joined ones the first in the alphabet, and the groups that were joined, sorted.

    Example:
        >>> join_identical(["p1", "p1", "p2", "p3"], ["a", "b", "b", "c"])
        (['p1', 'p1', 'p1', 'p3'], [('p1', 'p2')])
    """
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    first: dict[str, int] = {}
    links = [
        (first.setdefault(digest, number[group]), number[group]) for group, digest in zip(groups, digests, strict=True)
    ]
    joined = [tuple(names[index] for index in cluster) for cluster in clusters(len(names), links)]
    leader = {name: cluster[0] for cluster in joined for name in cluster}
    return [leader.get(group, group) for group in groups], joined
