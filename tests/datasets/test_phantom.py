"""Synthetic phantoms: the same everywhere, sized like BUSI, not solved by brightness."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, label

from tallymark.datasets.phantom import draw_phantom, make_phantom, make_phantom_volume, write_phantoms
from tallymark.errors import ConfigError, StorageError


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    """120 phantoms and their masks."""
    images, masks = zip(*(make_phantom(seed, 96) for seed in range(120)), strict=True)
    return np.stack(images), np.stack(masks)


def test_the_same_seed_gives_the_same_phantom_in_any_order() -> None:
    first = [make_phantom(seed, 48) for seed in (1, 2)]
    again = [make_phantom(seed, 48) for seed in (2, 1)][::-1]
    for (image, mask), (image_again, mask_again) in zip(first, again, strict=True):
        assert np.array_equal(image, image_again)
        assert np.array_equal(mask, mask_again)
    assert not np.array_equal(first[0][0], first[1][0])


def test_sizes_are_those_of_lesions_in_the_clinic(many: tuple[np.ndarray, np.ndarray]) -> None:
    low, middle, high = np.percentile(many[1].mean(axis=(1, 2)), (25, 50, 75))
    assert 0.015 < low < 0.035
    assert 0.04 < middle < 0.085
    assert 0.09 < high < 0.16
    several = [label(mask)[1] > 1 for mask in many[1]]
    assert 0.02 < np.mean(several) < 0.25


def test_lesions_are_darker_than_their_surroundings_but_no_threshold_finds_them(
    many: tuple[np.ndarray, np.ndarray],
) -> None:
    images, masks = many
    smooth = np.stack([gaussian_filter(image.astype(float), 2) for image in images])
    ring = np.stack([gaussian_filter(mask.astype(float), 4) > 0.05 for mask in masks]) & ~masks
    darker = [s[m].mean() < s[r].mean() for s, m, r in zip(smooth, masks, ring, strict=True)]
    assert np.mean(darker) > 0.9
    best = max(((smooth < t) & masks).sum() / ((smooth < t) | masks).sum() for t in range(5, 200, 5))
    assert best < 0.4


def test_normal_images_have_no_lesion_and_the_same_tissue() -> None:
    with_lesion, without = draw_phantom(5, 64), draw_phantom(5, 64, normal=True)
    assert with_lesion.masks["lesion"].any()
    assert not without.masks["lesion"].any()
    assert np.array_equal(
        with_lesion.masks["muscle"] | with_lesion.masks["lesion"], without.masks["muscle"] | with_lesion.masks["lesion"]
    )


def test_two_views_of_a_patient_are_alike_and_not_the_same() -> None:
    overlaps, apart = [], []
    for seed in range(12):
        (_, first), (_, second), (_, other) = (
            make_phantom(seed, 64),
            make_phantom(seed, 64, view=1),
            make_phantom(-1 - seed, 64),
        )
        assert not np.array_equal(first, second)
        overlaps.append((first & second).sum() / (first | second).sum())
        apart.append((first & other).sum() / (first | other).sum())
    assert np.mean(overlaps) > 0.5 > 0.3 > np.mean(apart)


@pytest.mark.parametrize("size", [8, (64, 15)])
def test_too_small_is_refused(size: int | tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="too small"):
        make_phantom(0, size)


def test_a_volume_holds_one_lesion() -> None:
    shares = []
    for seed in range(8):
        volume, mask = make_phantom_volume(seed, (16, 32, 32))
        assert volume.dtype == np.uint8
        assert label(mask)[1] == 1
        assert volume[mask].mean() < volume[~mask].mean()
        shares.append(mask.mean())
    assert 0.01 < min(shares) < max(shares) < 0.15
    with pytest.raises(ConfigError, match="too small"):
        make_phantom_volume(0, (8, 32, 32))


def _digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_written_phantoms_pair_up_and_fewer_are_a_part_of_more(tmp_path: Path) -> None:
    more = _digest(write_phantoms(tmp_path / "more", 30, seed=3, size=32, normals=0.3))
    fewer = _digest(write_phantoms(tmp_path / "fewer", 10, seed=3, size=32, normals=0.3))
    images = {name for name in fewer if name.endswith(".png")}
    assert len(images) == 20
    assert all(more[name] == fewer[name] for name in images)
    rows = (tmp_path / "more" / "groups.csv").read_text().splitlines()
    assert rows[0] == "id,group"
    groups = [row.split(",")[1] for row in rows[1:]]
    assert 15 <= len(set(groups)) < 30  # some patients have two images
    empty = [
        not np.asarray(Image.open(tmp_path / "more" / "masks" / f"phantom_{i:04d}_mask.png")).any() for i in range(30)
    ]
    assert 2 <= sum(empty) <= 18


def test_phantoms_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        write_phantoms(tmp_path / "file", 1)
    for wrong in ({"count": 0}, {"count": 1, "normals": 1.5}):
        with pytest.raises(ConfigError):
            write_phantoms(tmp_path, **wrong)  # type: ignore[arg-type]
