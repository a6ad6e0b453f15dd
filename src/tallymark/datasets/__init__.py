"""Data sets brought into a study: image and mask pairs, synthetic phantoms, masks weakened to marks and numbers."""
