"""Marks as GeoJSON, as QuPath reads and writes it: polygons in pixels, x to the right and y down from a corner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy.ndimage import label
from skimage.measure import find_contours

from tallymark.data.strokes import Stroke, enclosed
from tallymark.errors import ReadError

Masks = Mapping[str, Bool[np.ndarray, "r c"]]


def to_geojson(masks: Masks, colours: Mapping[str, tuple[int, int, int]]) -> dict[str, Any]:
    """Write marks as polygons, one feature for each connected piece.

    A polygon passes half-way between the centres of marked and unmarked pixels, so that whoever fills it by the centres
    of pixels gets the same mask.

    Args:
        masks: by structure.
        colours: of the structures, 0 to 255.

    Returns:
        A FeatureCollection; the class of a feature is its structure.

    Example:
        >>> document = to_geojson({"lesion": np.array([[True]])}, {"lesion": (230, 159, 0)})
        >>> document["features"][0]["geometry"]["coordinates"]
        [[[0.5, 1.0], [0.0, 0.5], [0.5, 0.0], [1.0, 0.5], [0.5, 1.0]]]
    """
    features = []
    for structure, mask in masks.items():
        pieces, count = label(mask)
        for number in range(1, count + 1):
            lines = find_contours(np.pad(pieces == number, 1).astype(float), 0.5)
            # The ring around the piece is the longest across; others are holes in it.
            lines.sort(key=lambda line: -float(np.ptp(line, axis=0).max()))
            rings = [(line[:, ::-1] - 0.5).tolist() for line in lines]
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": rings},
                    "properties": {
                        "objectType": "annotation",
                        "classification": {"name": structure, "color": list(colours.get(structure, (110, 110, 110)))},
                    },
                }
            )
    return {"type": "FeatureCollection", "features": features}


def from_geojson(document: Any, shape: tuple[int, int], where: object) -> dict[str, Bool[np.ndarray, "r c"]]:
    """Read polygons, lines and points that have a class.

    Args:
        document: a FeatureCollection, a list of features, or one feature.
        shape: of the image.
        where: what to call the document in an error.

    Returns:
        By class, the pixels whose centre lies in a polygon (holes left out), under a line, or at a point.

    Raises:
        ReadError: it is no GeoJSON, a feature has no class, or a kind of geometry is not known.

    Example:
        >>> ring = [[0, 0], [2, 0], [2, 1], [0, 1], [0, 0]]
        >>> feature = {"geometry": {"type": "Polygon", "coordinates": [ring]},
        ...            "properties": {"classification": {"name": "lesion"}}}
        >>> from_geojson(feature, (2, 3), "a.geojson")["lesion"].astype(int).tolist()
        [[1, 1, 0], [0, 0, 0]]
    """
    masks: dict[str, np.ndarray] = {}
    try:
        features = document.get("features", [document]) if isinstance(document, dict) else list(document)
        for feature in features:
            name = str(feature["properties"]["classification"]["name"])
            mask = masks.setdefault(name, np.zeros(shape, bool))
            _draw(feature["geometry"], mask)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ReadError(
            "these are no annotations with a class",
            where=where,
            found=f"{type(error).__name__}: {error}"[:120],
            expected="GeoJSON features with properties.classification.name, as QuPath exports them",
        ) from error
    return masks


def _draw(geometry: Mapping[str, Any], mask: np.ndarray) -> None:
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "MultiPolygon":
        for polygon in coordinates:
            _draw({"type": "Polygon", "coordinates": polygon}, mask)
    elif kind == "Polygon":
        inside = np.zeros_like(mask)
        for ring in coordinates:
            inside ^= enclosed(_points(ring), mask.shape)
        mask |= inside
    elif kind in ("Point", "MultiPoint", "LineString"):
        points = _points([coordinates] if kind == "Point" else coordinates)
        lines = [points] if kind == "LineString" else [point[None] for point in points]
        for line in lines:
            Stroke(line, 1.0, mask.shape).paint(mask)
    else:
        raise ValueError(f"the geometry {kind}")


def _points(coordinates: Any) -> np.ndarray:
    points = np.asarray(coordinates, float)
    if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points).all():
        raise ValueError("coordinates that are no pairs of numbers")
    return points[:, 1::-1] - 0.5
