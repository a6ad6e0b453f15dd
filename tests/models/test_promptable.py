"""SAM from a folder: prepared as its own library prepares, points where they belong, clear words where it cannot."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tallymark.errors import CheckpointError, ConfigError, GeometryError
from tallymark.grow import grow_candidates
from tallymark.models.promptable import PromptableNetwork
from tiny_sam import SIDE, save_tiny_sam

SHAPES = [(30, 50), (50, 30), (64, 64), (200, 90), (7, 129), (1, 9)]
YES = np.array([True])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sam(tmp_path_factory.mktemp("sam") / "tiny")


@pytest.fixture(scope="module")
def network(folder: Path) -> PromptableNetwork:
    return PromptableNetwork(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def picture(shape: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Smooth, in 8 bits, as a file holds it."""
    coarse = np.random.default_rng(sum(shape)).integers(0, 256, (4, 5, channels), dtype=np.uint8)
    planes = [Image.fromarray(coarse[..., c]).resize(shape[::-1], Image.Resampling.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def library_processor():
    from transformers import SamImageProcessor, SamProcessor

    size = {"size": {"longest_edge": SIDE}, "pad_size": {"height": SIDE, "width": SIDE}}
    return SamProcessor(SamImageProcessor(**size))


# --- preparation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_points_and_boxes_are_prepared_as_the_library_does(network, shape, channels) -> None:
    pixels = picture(shape, channels)
    points = np.array([[0, 0], [shape[0] - 1, shape[1] - 1], [shape[0] // 2, shape[1] // 3]], dtype=np.float64)
    box = np.array([0, shape[1] // 4, shape[0] // 2, shape[1] - 1], dtype=np.float64)
    colours = Image.fromarray(np.broadcast_to(pixels, (*shape, 3)).copy())
    expected = library_processor()(
        images=colours,
        input_points=[points[:, ::-1].tolist()],
        input_boxes=[[box[[1, 0, 3, 2]].tolist()]],
        return_tensors="pt",
    )
    prepared = network.prepared(pixels / 255)
    resized = [int(length) for length in prepared["reshaped_input_sizes"][0]]
    assert resized == expected["reshaped_input_sizes"][0].tolist()
    # Half a level of 8 bits, by which the library rounds after resizing, over ImageNet's smallest deviation.
    difference = (prepared["pixel_values"] - expected["pixel_values"]).abs().max()
    assert difference <= 1.01 / 255 / 0.224
    assert (prepared["pixel_values"][0, :, resized[0] :] == 0).all()
    assert (prepared["pixel_values"][0, :, :, resized[1] :] == 0).all()
    ours = network._coordinates(points, shape, resized)
    torch.testing.assert_close(ours, expected["input_points"].reshape(-1, 2).float())
    corners = network._coordinates(box.reshape(2, 2), shape, resized).reshape(4)
    torch.testing.assert_close(corners, expected["input_boxes"].reshape(4).float())


def test_values_are_normalised_by_hand() -> None:
    from transformers import SamImageProcessor

    network = PromptableNetwork.__new__(PromptableNetwork)
    network.__dict__["_preparation"] = SamImageProcessor(
        size={"longest_edge": 4}, pad_size={"height": 4, "width": 4}
    )  # no network is needed to prepare
    prepared = network.prepared(np.full((2, 4, 1), 0.5))["pixel_values"][0]
    for channel, (mean, deviation) in enumerate([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]):
        assert prepared[channel, :2].numpy() == pytest.approx((0.5 - mean) / deviation, abs=1e-5)
    assert (prepared[:, 2:] == 0).all()


def test_the_folder_says_how_images_are_prepared(copy: Path) -> None:
    """MedSAM was trained on values in [0, 1] without ImageNet's mean."""
    settings = {"image_processor_type": "SamImageProcessor", "do_normalize": False, "size": {"longest_edge": 1024}}
    (copy / "preprocessor_config.json").write_text(json.dumps(settings))
    prepared = PromptableNetwork(copy).prepared(np.full((32, 64, 1), 0.25))["pixel_values"]
    assert prepared.shape == (1, 3, SIDE, SIDE)
    assert prepared[0, :, :32].numpy() == pytest.approx(0.25, abs=1e-6)


# --- prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (64, 64)])
def test_the_answers_are_those_of_the_library(network, folder, shape) -> None:
    from transformers import SamModel

    model = SamModel.from_pretrained(folder, local_files_only=True).eval()
    processor = library_processor()
    pixels = picture(shape)
    points = np.array([[3.0, 20.0], [25.0, 4.0]])
    inside = np.array([True, False])
    box = np.array([2.0, 5.0, 20.0, 29.0])
    found = network.look(pixels / 255)(points, inside, box)
    inputs = processor(
        images=Image.fromarray(pixels),
        input_points=[points[:, ::-1].tolist()],
        input_labels=[inside.astype(int).tolist()],
        input_boxes=[[box[[1, 0, 3, 2]].tolist()]],
        return_tensors="pt",
    )
    inputs["pixel_values"] = network.prepared(pixels / 255)["pixel_values"]  # without the rounding to 8 bits
    sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    with torch.no_grad():
        for several, own in ((False, found[:1]), (True, found[1:])):
            masks = model(**inputs, multimask_output=several).pred_masks
            pad = {"height": SIDE, "width": SIDE}
            (expected,) = processor.image_processor.post_process_masks(masks, *sizes, binarize=False, pad_size=pad)
            assert np.allclose(own, expected[0].numpy(), atol=1e-5)


def test_rows_are_rows(network: PromptableNetwork) -> None:
    """A transposed image asked by a transposed prompt is another question; swapping only the prompt changes it."""
    image = picture((40, 64), 1) / 255
    ask = network.look(image)
    assert ask(np.array([[5.0, 30.0]]), YES, None).shape == (4, 40, 64)
    different = ask(np.array([[5.0, 30.0]]), YES, None) - ask(np.array([[30.0, 5.0]]), YES, None)
    assert np.abs(different).max() > 1e-3


def test_grey_is_three_equal_colours_and_nothing_else_is_seen(network: PromptableNetwork) -> None:
    grey = picture((20, 30), 1) / 255
    box = np.array([2.0, 2.0, 15.0, 20.0])
    nothing = np.zeros((0, 2)), np.zeros(0, dtype=bool)
    one, three = (network.look(image)(*nothing, box) for image in (grey, np.repeat(grey, 3, axis=-1)))
    assert np.array_equal(one, three)
    with pytest.raises(GeometryError, match=r"found shape \(20, 30, 2\).*1 or 3 channels"):
        network.look(np.zeros((20, 30, 2)))
    with pytest.raises(ConfigError, match="asks nothing"):
        network.look(grey)(*nothing, None)


def test_an_image_is_looked_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = PromptableNetwork(folder)
    times: list[int] = []
    embed = network._model.get_image_embeddings
    monkeypatch.setattr(network._model, "get_image_embeddings", lambda pixels: times.append(1) or embed(pixels))
    first, second = picture((20, 30)) / 255, picture((20, 31)) / 255
    for image in (first, first.copy(), second, second):
        network.look(image)
    assert len(times) == 2


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [(30, 44), (3, 20, 26)])
def test_grows_to_the_exact_area_the_same_each_time(folder: Path, space: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    image = rng.random(space)
    marks, walls = np.zeros(space, dtype=bool), np.zeros(space, dtype=bool)
    marks[..., 8:11, 9:12] = True
    walls[..., 12, 15] = True
    one, other = (grow_candidates(marks, 117, image, PromptableNetwork(folder).look, excluded=walls) for _ in range(2))
    assert one.mask.sum() == 117
    assert one.mask[marks].all()
    assert not one.mask[walls].any()
    assert np.array_equal(one.order, other.order)


# --- the folder -------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_content(folder: Path, copy: Path, tmp_path: Path) -> None:
    assert PromptableNetwork(copy).sha256 == PromptableNetwork(folder).sha256
    (copy / "README.md").write_text("nothing reads this")
    assert PromptableNetwork(copy).sha256 == PromptableNetwork(folder).sha256
    (copy / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert PromptableNetwork(copy).sha256 != PromptableNetwork(folder).sha256
    other = save_tiny_sam(tmp_path / "other", seed=1)
    assert PromptableNetwork(other).sha256 != PromptableNetwork(folder).sha256


def test_weights_saved_by_torch_are_read_too(network: PromptableNetwork, copy: Path) -> None:
    torch.save(network._model.state_dict(), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    image, box = picture((20, 30)) / 255, np.array([2.0, 2.0, 15.0, 20.0])
    nothing = np.zeros((0, 2)), np.zeros(0, dtype=bool)
    one, other = (which.look(image)(*nothing, box) for which in (PromptableNetwork(copy), network))
    assert np.allclose(one, other, atol=1e-6)


def test_a_folder_that_is_not_right_is_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no SAM in this folder; found no such folder; .*nothing is downl"):
        PromptableNetwork(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ConfigError, match=r"found an empty folder; expected config\.json and model\.safetensors"):
        PromptableNetwork(tmp_path / "bare")
    (copy / "config.json").write_text('{"model_type": "sam2"}')
    with pytest.raises(CheckpointError, match=r"config.json: .*another kind.*found model_type 'sam2'; expected 'sam'"):
        PromptableNetwork(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="settings file of SAM is damaged"):
        PromptableNetwork(copy)


def test_a_missing_shard_is_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(ConfigError, match=r"model-00001-of-00002\.safetensors: a part of the weights is missing"):
        PromptableNetwork(copy)


def test_damaged_or_partial_weights_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    del state["mask_decoder.iou_token.weight"]
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"found 1 missing keys, mask_decoder\.iou_token\.weight"):
        PromptableNetwork(copy).look(np.zeros((8, 8, 1)))
    (copy / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(CheckpointError, match="does not hold a whole SAM"):
        PromptableNetwork(copy).look(np.zeros((8, 8, 1)))


def test_weights_of_another_size_are_refused(copy: Path) -> None:
    settings = json.loads((copy / "config.json").read_text())
    settings["mask_decoder_config"]["mlp_dim"] = 24
    (copy / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="does not hold a whole SAM"):
        PromptableNetwork(copy).look(np.zeros((8, 8, 1)))


class _Trap:
    def __reduce__(self):
        return print, ("code ran",)


def test_weights_that_carry_code_are_not_run(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": _Trap()}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        PromptableNetwork(copy).look(np.zeros((8, 8, 1)))
    assert "code ran" not in capsys.readouterr().out


def test_without_the_library_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"transformers.*not installed.*pip install 'tallymark\[sam\]'"):
        PromptableNetwork(folder).look(np.zeros((8, 8, 1)))
