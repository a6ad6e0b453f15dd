"""Whole groups, shares kept, nothing depends on the order of the rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.data.splits import Fold, assign_fold, assign_splits
from tallymark.errors import ConfigError, StudyError

SHARES = {"train": 0.6, "select": 0.1, "calibrate": 0.1, "test": 0.2}

ROWS = st.lists(st.tuples(st.integers(0, 15).map("g{}".format), st.sampled_from("xyz")), min_size=1, max_size=60)


@given(ROWS, st.integers(0, 5))
def test_a_group_is_never_in_two_splits(rows: list[tuple[str, str]], seed: int) -> None:
    groups, strata = [row[0] for row in rows], [row[1] for row in rows]
    splits = assign_splits(groups, strata, SHARES, seed)
    assert len(splits) == len(rows)
    assert len(set(zip(groups, splits, strict=True))) == len(set(groups))


@given(ROWS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(rows: list[tuple[str, str]], seed: int, random: object) -> None:
    def dealt(some: list[tuple[str, str]]) -> dict[str, str]:
        groups = [row[0] for row in some]
        return dict(zip(groups, assign_splits(groups, [row[1] for row in some], SHARES, seed), strict=True))

    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert dealt(rows) == dealt(shuffled)


@given(ROWS, st.integers(0, 5))
def test_every_share_is_as_near_as_the_groups_allow(rows: list[tuple[str, str]], seed: int) -> None:
    groups = [row[0] for row in rows]
    counts = Counter(assign_splits(groups, [row[1] for row in rows], SHARES, seed))
    largest = max(Counter(groups).values())
    for name, share in SHARES.items():
        assert abs(counts[name] - share * len(rows)) < 3 * largest


def test_shares_hold_within_each_stratum() -> None:
    strata = ["benign"] * 350 + ["malignant"] * 170 + ["normal"] * 100
    splits = np.array(assign_splits([f"g{i}" for i in range(620)], strata, SHARES, seed=1))
    for stratum in ("benign", "malignant", "normal"):
        inside = splits[np.array(strata) == stratum]
        for name, share in SHARES.items():
            assert abs((inside == name).sum() - share * len(inside)) < 2


def test_shares_hold_where_every_stratum_is_one_group() -> None:
    names = [f"g{i}" for i in range(200)]
    counts = Counter(assign_splits(names, names, SHARES, seed=0))
    assert all(abs(counts[name] - share * 200) < 2 for name, share in SHARES.items())


def test_a_split_without_share_gets_nothing() -> None:
    shares = {"train": 0.5, "select": 0.0, "calibrate": 0.0, "test": 0.5}
    assert set(assign_splits([f"g{i}" for i in range(31)], [""] * 31, shares, seed=0)) == {"train", "test"}


def test_another_seed_deals_other_groups() -> None:
    groups = [f"g{i}" for i in range(40)]
    assert assign_splits(groups, [""] * 40, SHARES, 0) != assign_splits(groups, [""] * 40, SHARES, 1)


def test_the_largest_groups_are_not_always_for_training() -> None:
    """A greedy rule that deals large groups first would put all of them into the largest split."""
    groups = [f"large{i}" for i in range(10) for _ in range(10)] + [f"small{i}" for i in range(100)]
    tested = {
        group
        for group, split in zip(groups, assign_splits(groups, [""] * 200, SHARES, 0), strict=True)
        if split != "train"
    }
    assert any(group.startswith("large") for group in tested)


def test_wrong_shares_and_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="a sum of 1"):
        assign_splits(["a"], [""], {"train": 0.5, "test": 0.6}, 0)
    with pytest.raises(ConfigError, match="a sum of 1"):
        assign_splits(["a"], [""], {"train": 1.5, "test": -0.5}, 0)
    with pytest.raises(StudyError, match="1 groups, 2 strata"):
        assign_splits(["a"], ["", ""], {"train": 1.0}, 0)


FOLDS = st.integers(2, 5)


@given(ROWS, FOLDS, st.integers(0, 5), st.randoms(use_true_random=False))
def test_every_case_is_in_one_test_fold_with_its_group_whatever_the_order(
    rows: list[tuple[str, str]], folds: int, seed: int, random: object
) -> None:
    rows = [*rows, *((f"more{i}", "x") for i in range(2 * folds))]  # enough groups for every fold

    def dealt(some: list[tuple[str, str]], fold: Fold) -> dict[str, str]:
        groups = [row[0] for row in some]
        splits = assign_fold(groups, [row[1] for row in some], SHARES, seed, fold)
        assert len(set(zip(groups, splits, strict=True))) == len(set(groups))
        return dict(zip(groups, splits, strict=True))

    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    tested: Counter[str] = Counter()
    for number in range(1, folds + 1):
        splits = dealt(rows, Fold(number, folds))
        assert splits == dealt(shuffled, Fold(number, folds))
        tested.update(group for group, split in splits.items() if split == "test")
    assert tested == Counter({group for group, _ in rows})


def test_folds_are_stratified_and_leave_the_others_their_proportions() -> None:
    strata = ["benign"] * 300 + ["malignant"] * 150
    groups = [f"g{i}" for i in range(450)]
    for number in range(1, 6):
        splits = np.array(assign_fold(groups, strata, SHARES, 1, Fold(number, 5)))
        for stratum, size in (("benign", 300), ("malignant", 150)):
            inside = Counter(splits[np.array(strata) == stratum].tolist())
            for name, share in SHARES.items():  # the shares of a fifth for the test are the study's own
                assert abs(inside[name] - share * size) < 2, (number, stratum, inside)
    half = Counter(assign_fold(groups, strata, SHARES, 1, Fold(1, 2)))
    assert half["test"] == 225
    assert abs(half["train"] - 225 * 6 / 8) < 2
    assert abs(half["select"] - 225 / 8) < 2


@given(st.lists(st.integers(1, 9), min_size=10, max_size=40), FOLDS, st.integers(0, 5))
def test_folds_of_groups_of_any_size_differ_by_at_most_one_group(sizes: list[int], folds: int, seed: int) -> None:
    groups = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    tested = [
        assign_fold(groups, [""] * len(groups), SHARES, seed, Fold(i, folds)).count("test") for i in range(1, folds + 1)
    ]
    assert max(tested) - min(tested) <= max(sizes)


def test_every_fold_gets_its_part_of_the_large_groups() -> None:
    """Eight groups of eight and eighty single cases on four folds: two large groups in each."""
    groups = [f"large{i}" for i in range(8) for _ in range(8)] + [f"small{i}" for i in range(80)]
    for number in range(1, 5):
        splits = assign_fold(groups, [""] * 144, SHARES, 0, Fold(number, 4))
        tested = [group for group, split in zip(groups, splits, strict=True) if split == "test"]
        assert len({group for group in tested if group.startswith("large")}) == 2
        assert len(tested) == 36


def test_the_folds_of_today_are_those_of_tomorrow() -> None:
    splits = assign_fold([f"g{i}" for i in range(10)], [""] * 10, SHARES, 0, Fold(2, 5))
    assert "".join(split[0] for split in splits) == "ctsttttttt"


def test_folds_that_do_not_exist_are_refused() -> None:
    for text in ("0/5", "6/5", "1/1", "2", "2/5/1", "-1/5", "two/five", "1 / 5", "\u0661/5"):
        with pytest.raises(ConfigError, match="no such fold"):
            Fold.parse(text)
    assert str(Fold.parse("5/5")) == "5/5"
    with pytest.raises(StudyError, match=r"leaves nothing to test on.*fewer folds"):
        assign_fold(["a", "b"], ["", ""], SHARES, 0, Fold(3, 3))
    with pytest.raises(StudyError, match="nothing to learn from"):
        assign_fold(["a", "b"], ["", ""], {"train": 0.0, "test": 1.0}, 0, Fold(1, 2))
