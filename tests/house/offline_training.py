"""Trains in an environment of nothing but the given folders, as a GPU machine without network would.

Run by test_offline_training.py as ``python -I -S offline_training.py WORK SITE...``: no site-packages, no user folder,
no environment variables, only the standard library and the folders named. Every attempt to reach a network raises.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any


def refuse(*arguments: Any) -> Any:
    raise AssertionError(f"training tried to reach a network: {arguments[1:]}")


def step_of_a_network() -> None:
    """The smallest use: one loss, one gradient."""
    import torch

    from tallymark.core import area_fraction, statistic_loss
    from tallymark.models.registry import build

    network = build("unet", dimension=2, image_channels=1, structures=1)
    output = network(torch.rand(2, 1, 32, 32))
    loss = statistic_loss(area_fraction(output.logit.sigmoid()), torch.full((2, 1), 0.25))
    loss.backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in network.parameters())


def train_a_study(work: Path) -> dict[str, Any]:
    """The whole road on synthetic images: import, weaken, one epoch, evaluation on images that were held out."""
    import tallymark
    from tallymark.datasets.pairs import import_pairs
    from tallymark.datasets.phantom import write_phantoms
    from tallymark.datasets.weaken import weaken

    source = write_phantoms(work / "source", 20, 0)
    import_pairs(source / "images", source / "masks", work / "study", groups=source / "groups.csv")
    study = tallymark.Study.open(work / "study")
    weaken(study, marks="erosion:8%", mark_set="e8")
    run = tallymark.train(
        study, recipe="paper", marks="e8", seed=0, out=work / "run", settings=["data.size=[32, 32]", "optim.epochs=1"]
    )
    return dict(tallymark.evaluate(run.folder.root).scores)


def foreign_modules(sites: list[str]) -> list[str]:
    """Modules that came from neither the given folders nor the standard library."""
    allowed = (*sites, str(Path(json.__file__).parents[1]), str(Path(__file__).parent))
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    # torch.ops and torch.classes are made in memory and carry a made-up relative name.
    return sorted(n for n, file in files.items() if file and Path(file).is_absolute() and not file.startswith(allowed))


if __name__ == "__main__":
    work, *sites = sys.argv[1:]
    sys.path[:0] = sites
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, refuse)
    socket.getaddrinfo = refuse
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    except AssertionError:
        pass
    else:
        raise SystemExit("the network is not closed")
    step_of_a_network()
    scores = train_a_study(Path(work))
    print(json.dumps({"scores": list(scores), "foreign": foreign_modules(sites)}))
