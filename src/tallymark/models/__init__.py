"""Networks behind one interface: an image in, a logit per structure and a reconstructed image out."""

from __future__ import annotations

from tallymark.models.interface import Network, Output, Provenance
from tallymark.models.registry import NETWORKS, build

__all__ = ["NETWORKS", "Network", "Output", "Provenance", "build"]
