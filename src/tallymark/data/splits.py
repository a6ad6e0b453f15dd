"""Dealing cases to splits: whole groups only, so that no patient is on both sides."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tallymark.data.settings import check_shares
from tallymark.errors import ConfigError, StudyError


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
    return _dealt(groups, strata, shares, seed, largest_first=False)


def _dealt(
    groups: Sequence[str], strata: Sequence[str], shares: Mapping[str, float], seed: int, *, largest_first: bool
) -> list[str]:
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
        for group in sorted(groups_of[stratum], key=lambda group: (-largest_first * size[group], _rank(seed, group))):
            name = max(lacking, key=lambda name: round(lacking[name], 9))  # of equals the first
            split_of[group] = name
            lacking[name] -= size[group]
    return [split_of[group] for group in groups]


class Fold(NamedTuple):
    """One of several test folds, counted from 1.

    Attributes:
        number: which.
        of: how many there are.
        whole: all cases of the other folds are trained on; else some of them go to the other splits.
    """

    number: int
    of: int
    whole: bool = False

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Read ``2/5``, the second of five, or ``2/5 whole``.

        Raises:
            ConfigError: it cannot be read so, or there is no such fold.

        Example:
            >>> Fold.parse("2/5 whole")
            Fold(number=2, of=5, whole=True)
        """
        match = re.fullmatch(r"([0-9]+)/([0-9]+)( whole)?", text)
        fold = cls(int(match[1]), int(match[2]), match[3] is not None) if match else None
        if fold is None or not (1 <= fold.number <= fold.of and fold.of >= 2):
            raise ConfigError("there is no such fold", found=repr(text), expected="NUMBER/FOLDS, as in 1/5 to 5/5")
        return fold

    def __str__(self) -> str:
        return f"{self.number}/{self.of}" + " whole" * self.whole


def assign_fold(
    groups: Sequence[str], strata: Sequence[str], shares: Mapping[str, float], seed: int, fold: Fold
) -> list[str]:
    """Deal cases anew, so that the test split is one of n equal folds: every case is in exactly one of them.

    The folds are dealt as :func:`assign_splits` deals splits of equal share, but the largest groups of a stratum first:
    that makes the folds as even as can be, and as all folds are alike none is favoured by it. The cases of the other
    folds go to the other splits, again by whole groups and stratified, in the proportions of their shares; of a whole
    fold, all of them to ``train``.

    Args:
        groups: group of each case; cases of one group stay together.
        strata: stratum of each case.
        shares: share of each split, ``test`` among them, with the sum 1; those of the others count in proportion.
        seed: another seed deals other folds.
        fold: which of how many.

    Returns:
        The split of each case.

    Raises:
        ConfigError: the shares do not sum to 1.
        StudyError: no case would be tested on, or none trained on; groups and strata differ in length.

    Example:
        >>> shares = {"train": 0.6, "select": 0.2, "test": 0.2}
        >>> [assign_fold(list("abcd"), [""] * 4, shares, 0, Fold(i, 2)).count("test") for i in (1, 2)]
        [2, 2]
        >>> sorted(assign_fold(list("abcd"), [""] * 4, shares, 0, Fold(1, 2, whole=True)))
        ['test', 'test', 'train', 'train']
    """
    check_shares(shares, where="shares")
    numbers = [str(number) for number in range(1, fold.of + 1)]
    fold_of = _dealt(groups, strata, dict.fromkeys(numbers, 1 / fold.of), seed, largest_first=True)
    rest = [index for index, number in enumerate(fold_of) if number != str(fold.number)]
    others = {"train": 1.0} if fold.whole else {name: share for name, share in shares.items() if name != "test"}
    if not others.get("train"):
        raise StudyError(
            "there would be nothing to learn from", where="key split", found="train 0", expected="a share above 0"
        )
    whole = sum(others.values())
    dealt = assign_splits(
        [groups[index] for index in rest],
        [strata[index] for index in rest],
        {name: share / whole for name, share in others.items()},
        seed,
    )
    splits = ["test"] * len(groups)
    for index, split in zip(rest, dealt, strict=True):
        splits[index] = split
    for name in ("train", "test"):
        if name not in splits:
            raise StudyError(
                f"the fold {fold} leaves nothing to {name} on",
                found=f"{len(set(groups))} groups",
                remedy="ask for fewer folds",
            )
    return splits


def _rank(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{group}".encode()).digest()
