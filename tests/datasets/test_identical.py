"""Identical images are in one group, and nothing else is joined."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallymark.datasets.identical import join_identical

CASES = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 8).map(str)), min_size=1, max_size=20)


@given(CASES, st.randoms(use_true_random=False))
def test_groups_are_joined_exactly_where_a_chain_of_identical_images_leads(
    cases: list[tuple[str, str]], random: object
) -> None:
    groups, digests = [group for group, _ in cases], [digest for _, digest in cases]
    joined, sets = join_identical(groups, digests)
    reached = {group: {group} for group in groups}  # the slow way: follow every chain to its end
    for _ in groups:
        for group, digest in cases:
            for other, same in cases:
                if digest == same:
                    reached[group] |= reached[other]
    assert joined == [min(reached[group]) for group in groups]
    assert sets == sorted({tuple(sorted(some)) for some in reached.values() if len(some) > 1})
    order = list(range(len(cases)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled, same_sets = join_identical([groups[i] for i in order], [digests[i] for i in order])
    assert shuffled == [joined[i] for i in order]
    assert same_sets == sets
