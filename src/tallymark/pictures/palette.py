"""Colours that readers with any colour vision can tell apart."""

from __future__ import annotations

Colour = tuple[int, int, int]

# Okabe & Ito 2008, "Color Universal Design", in an order that starts with those that stand out on grey images.
OKABE_ITO: dict[str, Colour] = {
    "orange": (230, 159, 0),
    "sky blue": (86, 180, 233),
    "bluish green": (0, 158, 115),
    "reddish purple": (204, 121, 167),
    "yellow": (240, 228, 66),
    "vermillion": (213, 94, 0),
    "blue": (0, 114, 178),
}
EXCLUSION: Colour = (110, 110, 110)  # a mark that says "none of the structures": no colour at all
TRUTH: Colour = (255, 255, 255)


def structure_colour(index: int) -> Colour:
    """Colour of a structure, red, green, blue in 0..255; after seven structures the colours start again.

    Args:
        index: position of the structure, from 0.

    Example:
        >>> structure_colour(0), structure_colour(7)
        ((230, 159, 0), (230, 159, 0))
    """
    return list(OKABE_ITO.values())[index % len(OKABE_ITO)]


def colour_hex(colour: Colour) -> str:
    """The colour as HTML and matplotlib write it.

    Example:
        >>> colour_hex((230, 159, 0))
        '#e69f00'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)
