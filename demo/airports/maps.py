"""Draws a map of dots as the path of an SVG."""

from collections.abc import Iterable
from itertools import pairwise
from math import cos, radians
from typing import Any

WIDE = 90
"""Degrees without an airport that are worth cutting the map at, instead of at the date line."""


def drawing(points: Iterable[tuple[float, float]]) -> dict[str, Any]:
    """Return the path of a map with a dot at each longitude and latitude, and the frame around it."""
    points = list(points) or [(0, 0)]
    cut = cut_of({x for x, _ in points})
    # A degree of longitude is shorter the further it lies from the equator.
    middle = (max(y for _, y in points) + min(y for _, y in points)) / 2
    placed = [((x - 360 if x > cut else x) * cos(radians(middle)), -y) for x, y in points]
    left, top = min(x for x, _ in placed) - 1, min(y for _, y in placed) - 1
    right, bottom = max(x for x, _ in placed) + 1, max(y for _, y in placed) + 1
    return {
        "path": "".join(f"M{x:.1f} {y:.1f}h0" for x, y in placed),
        "frame": f"{left:.1f} {top:.1f} {right - left:.1f} {bottom - top:.1f}",
    }


def cut_of(longitudes: Iterable[float]) -> float:
    """Return the longitude east of which a map begins anew, so that Fiji and the USA stay in one piece."""
    gaps = [(east - west, west) for west, east in pairwise(sorted(longitudes))]
    width, west = max(gaps, default=(0, 0))
    return west if width > WIDE else 180
