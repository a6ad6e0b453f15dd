"""Exact statistics of masks against scikit-image and slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import ellipse
from skimage.measure import regionprops

from tallymark import measure
from tallymark.errors import GeometryError, StudyError
from tallymark.measure import Statistic


@st.composite
def masks(draw: st.DrawFn, dimension: int | None = None) -> np.ndarray:
    """A mask with at least one pixel, 2-D or 3-D."""
    d = dimension or draw(st.sampled_from([2, 3]))
    space = tuple(draw(st.integers(1, 12 if d == 2 else 6)) for _ in range(d))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = random.random(space) < draw(st.floats(0, 1))
    mask[tuple(random.integers(n) for n in space)] = True
    return mask


edge = st.floats(0.1, 10)


@given(masks(), st.tuples(edge, edge, edge))
def test_size_position_and_intensity_are_those_of_regionprops(
    mask: np.ndarray, edges: tuple[float, float, float]
) -> None:
    spacing = edges[: mask.ndim]
    image = np.random.default_rng(mask.sum()).random((*mask.shape, 3))
    region = regionprops(mask.astype(np.uint8), intensity_image=image, spacing=spacing)[0]
    assert measure.area(mask, spacing) == pytest.approx(region.area)
    assert measure.area_fraction(mask) == pytest.approx(region.num_pixels / mask.size)
    assert measure.mean_intensity(mask, image) == pytest.approx(np.mean(region.intensity_mean))
    assert measure.centroid(mask, spacing) == pytest.approx(region.centroid, abs=1e-9)


@given(masks(), edge)
def test_axes_are_those_of_regionprops(mask: np.ndarray, size: float) -> None:
    if 1 in mask.shape:
        mask = np.pad(mask, 1)  # scikit-image drops axes of length 1
    region = regionprops(mask.astype(np.uint8))[0]
    longest, shortest = measure.axis_lengths(mask, (size,) * mask.ndim)
    # scikit-image takes the root of a difference of moments: 1e-15 there is 1e-7 here.
    assert longest == pytest.approx(region.axis_major_length * size, abs=1e-5)
    assert shortest == pytest.approx(region.axis_minor_length * size, abs=1e-5)


@given(masks(2), st.tuples(edge, edge))
def test_axes_in_anisotropic_pixels_are_those_of_regionprops(mask: np.ndarray, spacing: tuple[float, float]) -> None:
    region = regionprops(np.pad(mask, 1).astype(np.uint8), spacing=spacing)[0]
    longest, shortest = measure.axis_lengths(mask, spacing)
    assert longest == pytest.approx(region.axis_major_length, abs=1e-5)
    assert shortest == pytest.approx(region.axis_minor_length, abs=1e-5)


def test_axes_of_an_ellipse_and_an_ellipsoid_are_their_own() -> None:
    flat = np.zeros((300, 300), bool)
    flat[ellipse(150, 150, 120, 45, rotation=0.7)] = True
    assert measure.axis_lengths(flat, (0.5, 0.5)) == pytest.approx((120, 45), rel=2e-3)
    # Anisotropic voxels: half axes 10, 12 and 20 mm.
    z, y, x = np.ogrid[-30:31, -30:31, -30:31]
    solid = (z * 2.0 / 20) ** 2 + (y * 1.0 / 12) ** 2 + (x * 0.5 / 10) ** 2 <= 1
    assert measure.axis_lengths(solid, (2.0, 1.0, 0.5)) == pytest.approx((40, 20), rel=5e-3)


def test_an_empty_mask_has_no_position_length_intensity_or_share() -> None:
    empty = np.zeros((3, 3), bool)
    assert measure.area(empty, (1.0, 1.0)) == measure.area_fraction(empty) == 0
    assert np.isnan(measure.centroid(empty, (1.0, 1.0))).tolist() == [True, True]
    for undefined in (
        measure.area_ratio(empty, empty),
        measure.mean_intensity(empty, np.ones((3, 3, 1))),
        *measure.axis_lengths(empty, (1.0, 1.0)),
        *measure.diameters(empty, (1.0, 1.0)),
    ):
        assert math.isnan(undefined)


@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 0.0), (1.0, -1.0), (1.0, math.nan), (1.0, 1.0, 1.0)])
def test_a_wrong_spacing_is_refused(spacing: tuple[float, ...]) -> None:
    for function in (measure.area, measure.centroid, measure.axis_lengths, measure.longest_diameter):
        with pytest.raises(GeometryError, match=r"spacing_mm: .* expected 2 edges"):
            function(np.ones((2, 2), bool), spacing)


def test_evaluate_gives_the_units_of_the_table() -> None:
    fat, muscle = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    fat[:2, :5], muscle[4:10, :5] = True, True  # 10 and 30 pixels
    image = np.full((10, 10, 1), 0.5)
    image[:2] = 0.25
    found = measure.evaluate(
        [
            Statistic("fat share", "area_ratio", of=("fat",), over=("fat", "muscle"), unit="percent"),
            Statistic("tissue", "area_fraction", of=("fat", "muscle"), unit="percent"),
            Statistic("fat area", "area", of=("fat",), unit="cm2"),
            Statistic("echo", "mean_intensity", of=("fat",), unit="intensity"),
            Statistic("long", "longest_axis", of=("muscle",), unit="mm"),
            Statistic("short", "shortest_axis", of=("muscle",), unit="cm"),
        ],
        {"fat": fat, "muscle": muscle},
        spacing_mm=(2.0, 5.0),
        image=image,
    )
    # Rows 4 to 9 spread over (36 - 1) / 12 * 4 mm2, columns 0 to 4 over (25 - 1) / 12 * 25 mm2.
    assert found == pytest.approx(
        {
            "fat share": 25,
            "tissue": 40,
            "fat area": 1,
            "echo": 0.25,
            "long": 4 * 50**0.5,
            "short": 0.4 * (35 / 3) ** 0.5,
        }
    )


def test_a_union_counts_shared_pixels_once() -> None:
    one, other = np.array([[True, True, False, False]]), np.array([[False, True, True, False]])
    both = Statistic("both", "area_fraction", of=("one", "other"))
    assert measure.evaluate([both], {"one": one, "other": other}) == {"both": 0.75}
    assert one.tolist() == [[True, True, False, False]]  # the masks are left alone


@pytest.mark.parametrize("shape", [(2, 2), (1, 3)])
@pytest.mark.usefixtures("as_installed")
def test_masks_of_other_shapes_are_refused(shape: tuple[int, int]) -> None:
    both = Statistic("both", "area_fraction", of=("one", "other"))
    with pytest.raises(GeometryError, match=r"\(2, 3\)"):
        measure.evaluate([both], {"one": np.ones((2, 3), bool), "other": np.ones(shape, bool)})
    with pytest.raises(GeometryError):
        measure.mean_intensity(np.ones((2, 3), bool), np.ones((*shape, 1)))


# --- diameters --------------------------------------------------------------------------------------------------------


def slow_diameters(mask: np.ndarray, spacing: tuple[float, float]) -> tuple[float, float]:
    """All pairs of all edge middles."""
    points = [
        ((r + dr) * spacing[0], (c + dc) * spacing[1])
        for r, c in np.argwhere(mask)
        for dr, dc in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))
    ]
    pairs = [(math.dist(p, q), p, q) for p in points for q in points]
    longest = max(length for length, _, _ in pairs)
    extents = []
    for length, p, q in pairs:
        if length >= longest * (1 - 1e-10):
            along = [(-(q[1] - p[1]) * y + (q[0] - p[0]) * x) / length for y, x in points]
            extents.append(max(along) - min(along))
    return longest, max(extents)


@given(masks(2), st.tuples(edge, edge))
def test_diameters_are_those_of_all_pairs(mask: np.ndarray, spacing: tuple[float, float]) -> None:
    mask = mask[:6, :6] if mask[:6, :6].any() else mask[-6:, -6:]
    if mask.any():
        assert measure.diameters(mask, spacing) == pytest.approx(slow_diameters(mask, spacing))


def test_of_equally_long_diameters_the_widest_counts() -> None:
    # Two diameters of sqrt(13): (2.5, 0) to (-0.5, 2) and (2, -0.5) to (0, 2.5).
    mask = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], bool)
    assert measure.diameters(mask, (1.0, 1.0)) == pytest.approx(slow_diameters(mask, (1.0, 1.0)))
    assert measure.diameters(mask, (1.0, 1.0)) == pytest.approx((13**0.5, 7 / 13**0.5))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 7), (5, 5), (4, 9)])
def test_longest_diameter_is_the_feret_diameter_of_regionprops(rows: int, columns: int) -> None:
    mask = np.zeros((12, 12), bool)
    mask[1 : 1 + rows, 2 : 2 + columns] = True
    expected = regionprops(mask.astype(np.uint8))[0].feret_diameter_max
    assert measure.longest_diameter(mask, (1.0, 1.0)) == pytest.approx(expected)


def test_diameters_of_an_ellipse() -> None:
    mask = np.zeros((300, 300), bool)
    mask[ellipse(150, 150, 120, 45, rotation=0.7)] = True
    assert measure.diameters(mask, (0.5, 0.5)) == pytest.approx((120, 45), abs=1)


@pytest.mark.usefixtures("as_installed")
def test_a_diameter_needs_a_slice() -> None:
    with pytest.raises(GeometryError, match="3-D mask"):
        measure.longest_diameter(np.ones((2, 2, 2), bool), (1.0, 1.0, 1.0))


# --- definitions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "volume"}, "unknown kind; found 'volume'"),
        ({"unit": "mm"}, "unit does not fit the kind area_ratio; found mm; expected fraction, percent"),
        ({"of": ()}, "no structure is measured"),
        ({"over": ()}, "denominator does not fit"),
        ({"kind": "area_fraction"}, "denominator does not fit"),
    ],
)
@pytest.mark.usefixtures("as_installed")
def test_a_definition_that_makes_no_sense_is_refused(changes: dict[str, object], says: str) -> None:
    sound = {"name": "fat", "kind": "area_ratio", "of": ("a",), "over": ("a", "b"), "unit": "percent"}
    Statistic(**sound)
    with pytest.raises(StudyError, match=f"statistic 'fat': .*{says}"):
        Statistic(**sound | changes)


def test_scale_and_bounds_of_every_unit() -> None:
    for kind, units in measure.UNITS.items():
        for unit, scale in units.items():
            over = ("b",) if kind == "area_ratio" else ()
            statistic = Statistic("s", kind, of=("a",), over=over, unit=unit)
            assert statistic.scale == scale > 0
            assert statistic.bounds[0] == 0 < statistic.bounds[1]
            assert statistic.dimension == {"mm2": 2, "cm2": 2, "mm3": 3, "ml": 3}.get(unit)
