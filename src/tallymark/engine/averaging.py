"""The average of a network's weights over training: what is kept in the end, and the teacher on the way."""

from __future__ import annotations

from lightning.pytorch.callbacks import EMAWeightAveraging

from tallymark.models.interface import Network


class Averaged(EMAWeightAveraging):
    """Exponential moving average of the weights, kept in every checkpoint."""

    @property
    def network(self) -> Network:
        """The averaged network, ready to predict."""
        assert self._average_model is not None
        network = self._average_model.module.network
        assert isinstance(network, Network)
        return network.eval()
