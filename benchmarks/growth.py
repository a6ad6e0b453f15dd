"""Speed of growth on one core, next to a plain baseline measured in the same run.

Run as ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/growth.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_gradient_magnitude
from skimage.graph import MCP_Geometric

from tallymark.grow import grow

_SECONDS = 2.0


def lesion(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dark noisy ellipsoid of about 8 % of an image (2 % of a volume), its mask and a stroke in it."""
    radii = np.array(shape) * (0.137, 0.186) if len(shape) == 2 else np.array(shape) * 0.17
    offsets = [axis - length / 2 for axis, length in zip(np.indices(shape), shape, strict=True)]
    mask = sum((off / radius) ** 2 for off, radius in zip(offsets, radii, strict=True)) <= 1
    noise = 0.08 * np.random.default_rng(0).standard_normal(shape)
    marks = np.zeros(shape, dtype=bool)
    middle = [length // 2 for length in shape[:-1]]
    length = int(radii[-1])
    marks[
        (*(slice(m - 2, m + 3) for m in middle), slice(shape[-1] // 2 - length // 2, shape[-1] // 2 + length // 4))
    ] = 1
    return (0.6 - 0.3 * mask + noise).clip(0, 1), np.asarray(mask), marks


def straight_baseline(marks: np.ndarray, area: int) -> np.ndarray:
    """Distance and order over the whole image."""
    order = np.argsort(distance_transform_edt(~marks), axis=None)
    mask = np.zeros(marks.size, dtype=bool)
    mask[order[:area]] = True
    return mask


def paths_baseline(image: np.ndarray, marks: np.ndarray, area: int) -> np.ndarray:
    """Minimal paths and order over the whole image."""
    step = 1 + 10 * gaussian_gradient_magnitude(image, 2.0)
    order = np.argsort(MCP_Geometric(step).find_costs(np.argwhere(marks))[0], axis=None)
    mask = np.zeros(marks.size, dtype=bool)
    mask[order[:area]] = True
    return mask


def seconds(run: Callable[[], object]) -> float:
    """Of one run: the best of as many as fit the time, after one to warm up."""
    run()
    times: list[float] = []
    while sum(times) < _SECONDS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    for shape, costs in (
        ((512, 512), ("euclidean", "paths", "walker", "auto")),
        ((128, 256, 256), ("euclidean", "paths", "walker", "auto")),
    ):
        image, mask, marks = lesion(shape)
        area = int(mask.sum())
        straight = seconds(lambda: straight_baseline(marks, area))  # noqa: B023
        along = seconds(lambda: paths_baseline(image, marks, area))  # noqa: B023
        print(f"{' x '.join(map(str, shape))}, structure {area / mask.size:.1%} of it")
        print(f"  {'baseline, straight':20}{straight:8.3f} s {1 / straight:8.1f} /s")
        print(f"  {'baseline, paths':20}{along:8.3f} s {1 / along:8.1f} /s")
        for cost in costs:
            took = seconds(lambda: grow(marks, area, image, cost=cost))  # noqa: B023
            grown = grow(marks, area, image, cost=cost).mask
            overlap = (grown & mask).sum() / (grown | mask).sum()
            faster = (straight if cost == "euclidean" else along) / took
            print(f"  {cost:20}{took:8.3f} s {1 / took:8.1f} /s {faster:6.1f} x baseline, IoU {overlap:.3f}")


if __name__ == "__main__":
    main()
