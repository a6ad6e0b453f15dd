import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallymark.experiments.compare import cluster_bootstrap, difference, per_case


def table(ious: list[float], true: list[int] | None = None, groups: list[str] | None = None) -> pd.DataFrame:
    count = len(ious)
    return pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in range(count)],
            "group": groups or [f"g{i}" for i in range(count)],
            "structure": "lesion",
            "iou": ious,
            "true_pixels": true or [5] * count,
        }
    )


def test_seeds_are_averaged_case_by_case_and_empty_cases_left_out():
    cases = per_case([table([0.2, 0.4, 1.0], true=[5, 5, 0]), table([0.4, 0.4, 0.0], true=[5, 5, 0])])
    assert cases["id"].tolist() == ["000", "001"]
    assert cases["structure"].tolist() == ["lesion", "lesion"]
    assert cases["iou"].tolist() == pytest.approx([0.3, 0.4])


def test_a_constant_gain_has_no_spread_and_is_above():
    gain = difference([table([0.5, 0.6, 0.7])], [table([0.4, 0.5, 0.6])])
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1))
    assert gain.verdict == "above"
    assert difference([table([0.4, 0.5])], [table([0.5, 0.6])]).verdict == "below"
    assert difference([table([0.4, 0.6])], [table([0.5, 0.5])]).verdict == "open"


def test_other_cases_are_not_compared():
    with pytest.raises(ValueError, match="same cases"):
        difference([table([0.1, 0.2])], [table([0.1])])


def test_groups_move_together():
    """Ten copies of one patient say no more than that patient: the interval must not shrink with copies."""
    values = np.array([0.0, 1.0] * 10)
    alone = cluster_bootstrap(values, np.arange(20))
    two_patients = cluster_bootstrap(values, np.array([0, 1] * 10))
    assert two_patients.high - two_patients.low > 2 * (alone.high - alone.low)
    assert (two_patients.low, two_patients.high) == (0.0, 1.0)


def test_the_interval_agrees_with_the_normal_one_on_many_groups():
    values = np.random.default_rng(0).normal(0.1, 1.0, size=900)
    interval = cluster_bootstrap(values, np.arange(900))
    error = 1.96 * values.std(ddof=1) / 30
    assert interval.low == pytest.approx(values.mean() - error, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.01)


@given(values=st.lists(st.floats(-1, 1), min_size=2, max_size=30), seed=st.integers(0, 9))
def test_the_interval_lies_within_the_values(values, seed):
    interval = cluster_bootstrap(np.array(values), np.arange(len(values)), seed=seed, draws=200)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_structures_weigh_the_same_however_many_images_show_them():
    """Kidney on four images, tumour on one: the mean is that of the two means, not of the five images."""
    first, second = table([0.5, 0.5, 0.5, 0.5, 0.9]), table([0.4, 0.4, 0.4, 0.4, 0.4])
    for rows in (first, second):
        rows["structure"] = ["kidney"] * 4 + ["tumour"]
        rows["id"] = ["0", "1", "2", "3", "0"]
        rows["group"] = ["a", "b", "c", "d", "a"]
    gain = difference([first], [second])
    assert gain.mean == pytest.approx((0.1 + 0.5) / 2)
    # A sample without the group a holds no tumour; what it says is that of the kidneys alone.
    assert (gain.low, gain.high) == pytest.approx((0.1, 0.3))


def test_folds_are_pooled_case_by_case():
    """Two folds of two cases: the same as one table of the four."""
    first, second = table([0.1, 0.2, 0.3, 0.9]), table([0.2, 0.2, 0.1, 0.4])
    whole = difference([first], [second])
    parts = difference([first[:2], first[2:]], [second[2:], second[:2]])
    assert (parts.mean, parts.low, parts.high) == pytest.approx((whole.mean, whole.low, whole.high))


@given(values=st.lists(st.floats(-1, 1), min_size=2, max_size=12), seed=st.integers(0, 9), data=st.data())
def test_the_bootstrap_agrees_with_a_slow_one(values, seed, data):
    count = len(values)
    groups = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    kinds = np.array(data.draw(st.lists(st.sampled_from("ab"), min_size=count, max_size=count)))
    interval = cluster_bootstrap(np.array(values), groups, kinds, draws=50, seed=seed)
    names = np.unique(groups)
    means = []
    for chosen in np.random.default_rng(seed).integers(len(names), size=(50, len(names))):
        drawn = [(k, v) for c in chosen for v, g, k in zip(values, groups, kinds, strict=True) if g == names[c]]
        of_kinds = [[v for k, v in drawn if k == kind] for kind in np.unique(kinds)]
        means.append(np.mean([np.mean(some) for some in of_kinds if some]))
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(means, (2.5, 97.5))), abs=1e-9)
