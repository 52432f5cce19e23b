"""Name colours."""

from __future__ import annotations

PALETTE = {
    "black": (0, 0, 0),
    "dark grey": (72, 72, 72),
    "grey": (128, 128, 128),
    "light grey": (200, 200, 200),
    "white": (255, 255, 255),
    "red": (225, 25, 30),
    "dark red": (125, 5, 15),
    "pink": (250, 165, 190),
    "magenta": (225, 30, 170),
    "orange": (250, 140, 20),
    "brown": (135, 70, 35),
    "beige": (225, 205, 165),
    "yellow": (250, 225, 30),
    "olive": (120, 120, 20),
    "light green": (150, 225, 140),
    "green": (25, 155, 45),
    "dark green": (5, 65, 20),
    "lime": (60, 250, 40),
    "turquoise": (50, 210, 200),
    "cyan": (0, 250, 255),
    "teal": (0, 125, 125),
    "light blue": (145, 200, 240),
    "blue": (30, 85, 225),
    "dark blue": (10, 20, 110),
    "purple": (125, 40, 160),
    "violet": (230, 125, 230),
    "lilac": (195, 165, 225),
}


def name_colour(red: int, green: int, blue: int) -> str:
    """Return the name of the nearest colour by perceived distance.

    Source of the distance ("redmean"): https://www.compuphase.com/cmetric.htm
    """

    def distance(name: str) -> float:
        r, g, b = PALETTE[name]
        mean = (red + r) / 2
        return (2 + mean / 256) * (red - r) ** 2 + 4 * (green - g) ** 2 + (3 - mean / 256) * (blue - b) ** 2

    return min(PALETTE, key=distance)
