"""Random numbers that depend on names alone, so that nothing changes with the order of calls or the machine."""

from __future__ import annotations

import hashlib

import numpy as np


def named_rng(*names: object) -> np.random.Generator:
    """Random generator seeded by sha256 of the names.

    Args:
        names: whatever identifies the draw, for example case id, generator and variant; compared as text. The
            names are joined by a control character that occurs in no id, so ``("a", "bc")`` and ``("ab", "c")`` differ.

    Returns:
        A fresh PCG64 generator; the same names give the same numbers everywhere.

    Example:
        >>> bool(named_rng("case 1", "click", 0).random() == named_rng("case 1", "click", 0).random())
        True
        >>> bool(named_rng("a", "bc").random() == named_rng("ab", "c").random())
        False
    """
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))
