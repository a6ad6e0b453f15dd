"""Dealing cases to splits: whole groups only, so that no patient is on both sides."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tallymark.data.settings import check_shares
from tallymark.errors import StudyError


def assign_splits(groups: Sequence[str], strata: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """Deal cases to splits by whole groups, stratified, in a way that does not depend on the order of the rows.

    The groups of a stratum are sorted by the SHA-256 of (seed, group), and each goes to the split that lacks the
    most cases. What a stratum leaves uneven is carried into the next one, so that the shares hold over the whole
    even where strata are small.

    Args:
        groups: group of each case; cases of one group stay together.
        strata: stratum of each case; a group belongs to the stratum of most of its cases (of several, to the first
            in the alphabet).
        shares: share of each split, >= 0, with the sum 1.
        seed: another seed deals other groups.

    Returns:
        The split of each case. With groups of at most m cases and S splits, every split misses its share of all
        cases by less than (S - 1) m.

    Raises:
        ConfigError: the shares do not sum to 1.
        StudyError: groups and strata differ in length.

    Example:
        >>> splits = assign_splits(["a", "a", "b", "c"], ["x"] * 4, {"train": 0.5, "test": 0.5}, seed=0)
        >>> splits[0] == splits[1], splits.count("train"), splits.count("test")
        (True, 2, 2)
    """
    check_shares(shares, where="shares")
    if len(groups) != len(strata):
        raise StudyError("every case needs a group and a stratum", found=f"{len(groups)} groups, {len(strata)} strata")
    size = Counter(groups)
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, stratum in zip(groups, strata, strict=True):
        members[group][stratum] += 1
    groups_of: dict[str, list[str]] = defaultdict(list)
    for group, counts in members.items():
        groups_of[min(counts, key=lambda stratum: (-counts[stratum], stratum))].append(group)
    lacking = dict.fromkeys(shares, 0.0)
    split_of: dict[str, str] = {}
    for stratum in sorted(groups_of):
        total = sum(size[group] for group in groups_of[stratum])
        for name, share in shares.items():
            lacking[name] += share * total
        for group in sorted(groups_of[stratum], key=lambda group: _rank(seed, group)):
            name = max(lacking, key=lambda name: round(lacking[name], 9))  # of equals the first
            split_of[group] = name
            lacking[name] -= size[group]
    return [split_of[group] for group in groups]


def _rank(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{group}".encode()).digest()
