"""Exact statistics of masks in NumPy: the reference that the differentiable ones are tested against."""
