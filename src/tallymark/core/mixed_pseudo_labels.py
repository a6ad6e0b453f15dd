"""Two branches that teach each other through a soft mixture of what both predict."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from tallymark.core.losses import cross_entropy_loss
from tallymark.core.reduce import full_precision
from tallymark.errors import ConfigError


def mixed_pseudo_label_loss(
    branches: Float[Tensor, "2 b k *space"],
    share: float,
    valid: Bool[Tensor, "b 1 *space"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of both branches against a mixture of their own probabilities.

    q = share p_1 + (1 - share) p_2, without gradient; the loss is the mean of CE(p_1, q) and CE(p_2, q).

    The label stays soft: where the branches doubt, it doubts. It knows nothing that the branches do not, so that beside
    marks of one class it only speeds up the collapse of both to "everywhere".

    Args:
        branches: logits of the two branches, any finite value.
        share: of the first branch in the mixture, in [0, 1]; drawn anew in every step of training.
        valid: pixels that show the image.

    Returns:
        >= 0; the entropy of the branches where they agree.

    Raises:
        ConfigError: a share outside [0, 1].
        GeometryError: shapes that differ.

    Source: Han et al. 2024, DMSPS: dynamically mixed soft pseudo-label supervision for scribble-supervised medical
        image segmentation (DOI 10.1016/j.media.2024.103274), its first stage. Ours: sigmoids in place of a softmax.

    Example:
        >>> import torch
        >>> branches = torch.tensor([100.0, -100.0]).reshape(2, 1, 1, 1, 1)  # probabilities 1 and 0
        >>> mixed_pseudo_label_loss(branches, 0.25)  # 100 (1 - 1/4) and 100 1/4, halved
        tensor(50.)
    """
    if not 0 <= share <= 1:
        raise ConfigError("not a share", where="share", found=share, expected="a number in [0, 1]")
    one, other = full_precision(branches)
    label = (share * one.sigmoid() + (1 - share) * other.sigmoid()).detach()
    return (cross_entropy_loss(one, label, valid) + cross_entropy_loss(other, label, valid)) / 2
