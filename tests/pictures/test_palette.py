"""The claim that readers with any colour vision can tell the structures apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import rgb2lab

from tallymark.pictures import OKABE_ITO, colour_hex

# Machado, Oliveira & Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1, on linear red, green, blue.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def seen(colour: tuple[int, int, int], vision: str) -> np.ndarray:
    encoded = np.array(colour) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    shifted = np.clip(VISION[vision] @ linear, 0, 1)
    display = np.where(shifted <= 0.0031308, 12.92 * shifted, 1.055 * shifted ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(display[np.newaxis, np.newaxis])[0, 0])


@pytest.mark.parametrize("vision", VISION)
def test_every_two_colours_differ_for_every_reader(vision: str) -> None:
    for one, other in itertools.combinations(OKABE_ITO.values(), 2):
        # 2.3 is just noticeable side by side; thin lines need several times that.
        assert np.linalg.norm(seen(one, vision) - seen(other, vision)) > 10, (one, other)


def test_hex_has_two_digits_a_channel() -> None:
    assert colour_hex((0, 10, 255)) == "#000aff"
