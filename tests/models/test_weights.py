"""First weights from a file or from ImageNet: what fits is taken and recorded, what does not is named."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50

from tallymark.errors import CheckpointError, ConfigError
from tallymark.models import Network, build
from tallymark.models.normalise import IMAGENET_MEAN, IMAGENET_STD
from tallymark.models.weights import IMAGENET, adapt_first, load_weights

State = dict[str, Tensor]


def tiny(weights: str | Path = "random", **options: int) -> Network:
    return build("unet", **{"image_channels": 1, "structures": 1, "width": 2, "depth": 1, **options}, weights=weights)


@pytest.fixture(scope="module")
def resnet() -> State:
    """The state of torchvision's own ResNet-50, classifier included, as its published files hold it."""
    torch.manual_seed(3)
    state: State = resnet50(weights=None).state_dict()
    return state


def save(state: object, folder: Path) -> Path:
    torch.save(state, folder / "weights.pt")
    return folder / "weights.pt"


def test_full_state_of_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = tiny()
    path = save(network.state_dict(), tmp_path)
    torch.manual_seed(2)
    other = tiny(path)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert other.provenance.source == str(path)
    assert other.provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_backbone_from_a_torchvision_file(channels: int, resnet: State, tmp_path: Path) -> None:
    path = save(resnet, tmp_path)
    network = build("deeplabv3_resnet50", image_channels=channels, structures=2, weights=path)
    backbone = network.backbone()
    assert backbone is not None
    taken = backbone.state_dict()
    assert torch.equal(taken["layer4.2.conv3.weight"], resnet["layer4.2.conv3.weight"])
    assert torch.equal(taken["conv1.weight"], adapt_first(resnet["conv1.weight"], channels))
    assert len(network.provenance.sha256) == 64
    expected = IMAGENET_MEAN if channels == 3 else [sum(IMAGENET_MEAN) / 3] * channels
    assert network.normalise.mean.flatten().tolist() == pytest.approx(list(expected))
    expected = IMAGENET_STD if channels == 3 else [sum(IMAGENET_STD) / 3] * channels
    assert network.normalise.std.flatten().tolist() == pytest.approx(list(expected))


def test_a_backbone_file_without_classifier_and_counters(resnet: State, tmp_path: Path) -> None:
    bare = {k: v for k, v in resnet.items() if not k.startswith("fc.") and "num_batches_tracked" not in k}
    network = build("deeplabv3_resnet50", image_channels=3, structures=1, weights=save(bare, tmp_path))
    backbone = network.backbone()
    assert backbone is not None
    assert torch.equal(backbone.state_dict()["bn1.weight"], resnet["bn1.weight"])


def test_a_grey_image_responds_as_three_equal_colours() -> None:
    weight = torch.rand(4, 3, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    grey = torch.rand(1, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    colour = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weight)
    torch.testing.assert_close(torch.nn.functional.conv2d(grey, adapt_first(weight, 1)), colour)
    six = torch.nn.functional.conv2d(grey.expand(-1, 6, -1, -1), adapt_first(weight, 6))
    torch.testing.assert_close(six, colour)


def test_a_first_convolution_that_fits_already_stays() -> None:
    weight = torch.rand(4, 5, 7, 7)
    assert adapt_first(weight, 5) is weight


def test_faults_of_a_file_are_all_named_at_once(tmp_path: Path) -> None:
    state = tiny().state_dict()
    del state["segment.bias"]
    state["surplus"] = torch.zeros(1)
    state["segment.weight"] = torch.zeros(2, 2, 1, 1)
    before = tiny()
    kept = {k: v.clone() for k, v in before.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(before, save(state, tmp_path))
    message = str(caught.value)
    assert "1 missing: segment.bias; 1 unexpected: surplus" in message
    assert "1 of another shape: segment.weight (2, 2, 1, 1) for (1, 2, 1, 1)" in message
    assert "weights.pt" in message
    assert all(torch.equal(v, kept[k]) for k, v in before.state_dict().items()), "a refused file changed the network"


def test_a_backbone_of_another_network_is_refused(resnet: State, tmp_path: Path) -> None:
    cut = {k: v for k, v in resnet.items() if not k.startswith("layer3.5")}
    with pytest.raises(CheckpointError, match=r"15 missing: layer3.5.conv1.weight, .*, \.\.\.; to mend it"):
        build("deeplabv3_resnet50", image_channels=3, structures=1, weights=save(cut, tmp_path))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(1)], "found list"),
        ({"epoch": 3, "state_dict": {}}, "found a mapping with epoch, state_dict"),
        ({}, "not a state"),
        (Path("x"), "damaged or hold more than tensors"),
    ],
)
def test_a_file_of_something_else(content: object, found: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=found):
        tiny(save(content, tmp_path))


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file(kept: float, tmp_path: Path) -> None:
    path = save(tiny().state_dict(), tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(CheckpointError, match=r"weights.pt: the weights are damaged .* to mend it: save them again"):
        tiny(path)


def test_a_file_that_runs_code_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "ran",)

    with pytest.raises(CheckpointError, match="damaged or hold more"):
        tiny(save({"a": Evil()}, tmp_path))
    assert not (tmp_path / "ran").exists()


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found imagnet; expected random, imagenet or the path of a file"):
        tiny("imagnet")
    with pytest.raises(ConfigError, match="no such weights"):
        tiny(tmp_path)


def test_imagenet_is_for_networks_with_a_backbone() -> None:
    with pytest.raises(ConfigError, match=r"no ImageNet weights for this network.*choose deeplabv3_resnet50"):
        tiny("imagenet")


def test_imagenet_without_a_network_says_how_to_give_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    with pytest.raises(ConfigError, match=r"cannot be fetched; found .*not known.*weights = FILE"):
        build("deeplabv3_resnet50", image_channels=1, structures=1, weights="imagenet")


def test_imagenet_from_torchs_cache_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, resnet: State) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    path = cache / Path(IMAGENET.url).name
    torch.save(resnet, path)
    network = build("deeplabv3_resnet50", image_channels=1, structures=1, weights="imagenet")
    assert network.provenance == ("ResNet50_Weights.IMAGENET1K_V1", hashlib.sha256(path.read_bytes()).hexdigest())
    backbone = network.backbone()
    assert backbone is not None
    assert torch.equal(backbone.state_dict()["layer1.0.conv1.weight"], resnet["layer1.0.conv1.weight"])
