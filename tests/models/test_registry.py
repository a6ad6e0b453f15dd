"""Networks by name: what is built, what is refused, and that nothing is fetched without being asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tallymark.errors import ConfigError
from tallymark.models import NETWORKS, Network, build
from tallymark.models.options import at_least, probability
from tallymark.models.unet import UNet


@pytest.fixture
def no_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("something was fetched without being asked for")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)


@pytest.mark.usefixtures("no_downloads")
@pytest.mark.parametrize("name", NETWORKS)
def test_builds_every_network_without_fetching_anything(name: str) -> None:
    network = build(name, image_channels=2, structures=3)
    assert isinstance(network, Network)
    assert (network.image_channels, network.structures, network.dimension) == (2, 3, 2)
    assert network.provenance == ("random", "")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"network: .*found 'unett'; expected deeplabv3_resnet50 or unet"):
        build("unett", image_channels=1, structures=1)


def test_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="option of unet; found widht; expected width, depth, norm, prior"):
        build("unet", image_channels=1, structures=1, widht=8)
    with pytest.raises(ConfigError, match="found width; expected branches"):
        build("deeplabv3_resnet50", image_channels=1, structures=1, width=8)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("wrong", "where"),
    [({"image_channels": 0}, "image_channels"), ({"structures": 0}, "structures"), ({"dimension": 4}, "dimension")],
)
def test_sizes_out_of_range(name: str, wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=f"^{where}: "):
        build(name, **{"image_channels": 1, "structures": 1, **wrong})


def test_a_network_of_ones_own_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(UNet):
        pass

    monkeypatch.setitem(NETWORKS, "own", Own)
    assert isinstance(build("own", image_channels=1, structures=1, width=2, depth=1), Own)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "4", None])
def test_a_size_is_a_whole_number(value: object) -> None:
    with pytest.raises(ConfigError, match=r"depth: .*expected a whole number of at least 1"):
        at_least(1, "depth", value)


@pytest.mark.parametrize("value", [0, 1, -0.1, "0.5", None, float("nan")])
def test_a_probability_is_a_number_between_0_and_1(value: object) -> None:
    with pytest.raises(ConfigError, match="prior: "):
        probability("prior", value)
