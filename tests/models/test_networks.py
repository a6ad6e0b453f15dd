"""One contract suite that every network passes, and what each network promises besides."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tallymark.errors import ConfigError, GeometryError
from tallymark.models import Network, build
from tallymark.models.deeplab import DeepLabV3ResNet50
from tallymark.models.unet import UNet


class NetworkUnderTest:
    """A network by name, and images for it."""

    name: str
    dimension = 2
    options: ClassVar[dict[str, Any]] = {}
    size: tuple[int, ...] = (48, 40)

    def make(self, image_channels: int = 1, structures: int = 1, **options: Any) -> Network:
        torch.manual_seed(0)
        return build(
            self.name,
            image_channels=image_channels,
            structures=structures,
            dimension=self.dimension,
            **{**self.options, **options},
        )

    def settled(self) -> Network:
        """A network in eval mode whose running statistics have seen images."""
        network = self.make()
        with torch.no_grad():
            for _ in range(3):
                network(self.images(4))
        return network.eval()

    def images(self, batch: int = 2, channels: int = 1, size: tuple[int, ...] | None = None) -> Tensor:
        return torch.rand(batch, channels, *(size or self.size), generator=torch.Generator().manual_seed(1))


class NetworkContract(NetworkUnderTest):
    """What every network promises; a network is put under it by a subclass that names it."""

    odd_sizes: tuple[tuple[int, ...], ...] = ((37, 51), (7, 5))
    steps: int
    learning_rate: float

    @pytest.mark.parametrize(("channels", "structures"), [(1, 1), (3, 2), (5, 4)])
    def test_channels_and_structures(self, channels: int, structures: int) -> None:
        network = self.make(channels, structures)
        assert (network.dimension, network.image_channels, network.structures) == (self.dimension, channels, structures)
        logit, reconstruction, _ = network(self.images(2, channels))
        assert logit.shape == (2, structures, *self.size)
        assert reconstruction.shape == (2, channels, *self.size)

    def test_output_has_the_size_of_any_input(self) -> None:
        network = self.make()
        for size in self.odd_sizes:
            for batch, mode in ((2, True), (1, False)):
                logit, reconstruction, _ = network.train(mode)(self.images(batch, size=size))
                assert logit.shape == reconstruction.shape == (batch, 1, *size)
                assert torch.isfinite(logit).all()
                assert torch.isfinite(reconstruction).all()

    def test_heads_reach_every_parameter_with_finite_gradients(self) -> None:
        network = self.make(1, 2)
        output = network(self.images())
        sum(o.square().mean() for o in output[:2]).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{name} is reached by neither head"
            assert torch.isfinite(parameter.grad).all(), name
        for head in (0, 1):
            network.zero_grad()
            network(self.images())[head].square().mean().backward()
            first = next(p for p in network.parameters() if p.ndim > 2)
            assert first.grad is not None
            assert first.grad.abs().sum() > 0, f"head {head} does not teach the encoder"

    def test_eval_is_deterministic_and_sees_each_image_alone(self) -> None:
        network, images = self.settled(), self.images(3)
        with torch.no_grad():
            together, again = network(images), network(images)
            alone = [network(image[None]) for image in images]
        for head in (0, 1):
            assert torch.equal(together[head], again[head])
            torch.testing.assert_close(together[head], torch.cat([a[head] for a in alone]), rtol=1e-4, atol=1e-5)

    def test_state_dict_round_trip(self) -> None:
        network, images = self.settled(), self.images()
        network.normalise.mean.fill_(0.3)  # the normalisation is part of the state
        file = io.BytesIO()
        torch.save(network.state_dict(), file)
        file.seek(0)
        torch.manual_seed(5)
        other = self.make().eval()
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(1.0)
            other.load_state_dict(torch.load(file, weights_only=True))
            for ours, theirs in zip(network(images)[:2], other(images)[:2], strict=True):
                assert torch.equal(ours, theirs)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_autocast_is_finite(self, dtype: torch.dtype) -> None:
        network = self.make()
        with torch.autocast("cpu", dtype=dtype):
            output = network(self.images())
        assert output.logit.dtype == dtype, "autocast did nothing"
        sum(o.float().square().mean() for o in output[:2]).backward()
        assert all(torch.isfinite(o).all() for o in output[:2])
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)

    def test_both_heads_depend_on_the_image(self) -> None:
        network, images = self.settled(), self.images(2)
        with torch.no_grad():
            for o in network(images)[:2]:
                assert (o[0] - o[1]).abs().max() > 1e-4

    def test_overfits_one_image(self) -> None:
        network = self.make()
        mask = (torch.linspace(-1, 1, self.size[-1]) > 0).float().expand(2, 1, *self.size)
        image = 0.2 + 0.6 * mask
        optimiser = torch.optim.Adam(network.parameters(), lr=self.learning_rate)
        for _ in range(self.steps):
            logit, reconstruction, _ = network(image)
            error = (reconstruction - image).abs().mean()
            loss = functional.binary_cross_entropy_with_logits(logit, mask) + error
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found, true = logit.detach() > 0, mask > 0
        assert (found & true).sum() / (found | true).sum() > 0.9
        constant = (image - image.median()).abs().mean()
        assert error < 0.7 * constant, "no better a picture than the best constant one"

    def test_refuses_images_it_was_not_built_for(self) -> None:
        network = self.make(image_channels=3).eval()
        for image in (
            self.images(1, channels=1),
            self.images(1, channels=3).unsqueeze(-1),
            self.images(1, channels=3)[0],
            self.images(0, channels=3),
        ):
            with pytest.raises(GeometryError, match=r"does not fit the network; found shape .*expected \(batch, 3, "):
                network(image)


class TwoBranches(NetworkUnderTest):
    """What a network with two decoders promises besides."""

    def test_the_logit_is_that_of_the_mean_probability(self) -> None:
        network, images = self.settled(), self.images(2)
        with torch.no_grad():
            output = network(images)
        one, other = output.branches
        torch.testing.assert_close(output.logit.sigmoid(), (one.sigmoid() + other.sigmoid()) / 2)
        assert (one - other).abs().max() > 1e-3, "two decoders, not one twice"

    def test_the_second_branch_is_perturbed_in_training_alone(self) -> None:
        network, images = self.settled(), self.images(2)
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm | torch.nn.Dropout):
                module.eval()
        network.training = True
        with torch.no_grad():
            first, second = network(images).branches, network(images).branches
        assert torch.equal(first[0], second[0])
        assert not torch.equal(first[1], second[1])

    def test_each_branch_teaches_the_encoder(self) -> None:
        network = self.make()
        first = next(p for p in network.parameters() if p.ndim > 2)
        for branch in (0, 1):
            network.zero_grad()
            network(self.images()).branches[branch].square().mean().backward()
            assert first.grad.abs().sum() > 0

    def test_an_option_that_is_neither_one_nor_two_is_refused(self) -> None:
        for wrong in (0, 3, True):
            with pytest.raises(ConfigError, match=r"branches: .*expected 1 or 2"):
                self.make(branches=wrong)

    def test_without_the_option_nothing_is_added(self) -> None:
        plain, images = self.make(branches=1), self.images()
        added = set(self.make().state_dict()) - set(plain.state_dict())
        assert {name.partition("_")[0].partition(".")[0] for name in added} == {"second"}
        assert plain(images).branches is None


class TestDeepLab(NetworkContract):
    name = "deeplabv3_resnet50"
    size = (24, 32)
    steps = 12
    learning_rate = 1e-3

    def test_training_on_one_image_is_refused_with_a_remedy(self) -> None:
        network = self.make()
        with pytest.raises(
            ConfigError, match=r"batch size: .*found 1; expected at least 2; to mend it: raise the batch"
        ):
            network(self.images(1))
        network.eval()(self.images(1))

    def test_training_on_one_image_is_allowed_where_the_norms_are_frozen(self) -> None:
        network = self.make()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        assert network.training
        assert torch.isfinite(network(self.images(1)).logit).all()

    def test_is_torchvisions_network_with_an_autoencoder_for_its_auxiliary_head(self) -> None:
        from torchvision.models.segmentation import deeplabv3_resnet50

        torch.manual_seed(0)
        reference = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True, num_classes=3).eval()
        network = DeepLabV3ResNet50(image_channels=3, structures=3).eval()
        network.body.load_state_dict(reference.state_dict())
        image = self.images(1, channels=3)
        with torch.no_grad():
            expected = reference((image - 0.5) / 0.25)
            output = network(image)
        torch.testing.assert_close(output.logit, expected["out"], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(output.reconstruction, expected["aux"], rtol=1e-3, atol=1e-4)

    def test_has_no_volumes(self) -> None:
        with pytest.raises(ConfigError, match=r"dimension: .*found 3; expected 2; to mend it: choose unet"):
            build(self.name, image_channels=1, structures=1, dimension=3)


class TestDeepLabTwoBranches(TwoBranches):
    name = "deeplabv3_resnet50"
    options: ClassVar[dict[str, Any]] = {"branches": 2}
    size = (24, 32)


class TestUNet(NetworkContract):
    name = "unet"
    steps = 40
    learning_rate = 1e-2

    def test_reconstruction_passes_through_deep_features(self) -> None:
        """With the features at stride 8 silenced nothing of the image is left in the picture, but much in the logit."""
        network, images = self.settled(), self.images(2)
        assert isinstance(network, UNet)
        seen = []

        def silence(module: torch.nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            seen.append(output.shape[2:])
            return output * 0

        stages = list(network.encoder)
        stages[3].register_forward_hook(silence)
        with torch.no_grad():
            logit, reconstruction, _ = network(images)
        assert torch.equal(reconstruction[0], reconstruction[1])
        assert (logit[0] - logit[1]).abs().max() > 1e-4
        assert seen == [(6, 6)], "48 x 40, padded to 48 x 48, at stride 8"

    @pytest.mark.parametrize("prior", [0.5, 0.1])
    def test_untrained_probability_is_around_the_prior(self, prior: float) -> None:
        network = self.make(prior=prior)
        assert network.segment.bias.sigmoid().tolist() == pytest.approx([prior] * network.structures)
        # The features in front of the bias have both signs, not a mean of exactly 0.
        assert network(self.images()).logit.sigmoid().mean().item() == pytest.approx(prior, abs=0.2)

    def test_the_last_layer_starts_at_full_size_with_both_signs(self) -> None:
        """Tiny weights let a rare structure end up as "no feature at all", with a logit that cannot rise."""
        weight = self.make().segment.weight
        assert weight.std() > 0.1
        assert weight.min() < 0 < weight.max()

    def test_width_and_depth(self) -> None:
        """Counted by hand for width 4, depth 1, one channel, one structure, batch norm (2 values per channel)."""
        encoder = (9 * 4 + 8 + 9 * 16 + 8) + (9 * 32 + 16 + 9 * 64 + 16)
        decoder = 4 * 32 + (9 * 16 + 8) + (4 + 1)
        reconstruct = (9 * 16 + 4) + (2 + 1)
        network = self.make(width=4, depth=1)
        assert sum(p.numel() for p in network.parameters()) == encoder + decoder + reconstruct

    def test_batch_norm_over_a_single_value_is_refused_with_a_remedy(self) -> None:
        image = self.images(1, size=(16, 9))
        with pytest.raises(ConfigError, match=r'batch size: .*to mend it: raise .* norm = "group"'):
            self.make()(image)
        assert torch.isfinite(self.make(norm="group")(image).logit).all()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"width": 0}, "width: .*found 0; expected a whole number of at least 1"),
            ({"depth": -1}, "depth: .*found -1; expected a whole number of at least 1"),
            ({"norm": "layer"}, "norm: .*found 'layer'; expected batch or group"),
            ({"prior": 1.0}, r"prior: .*found 1.0; expected a number in \(0, 1\)"),
        ],
    )
    def test_options_out_of_range(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            self.make(**options)


class TestUNetGroupNorm(NetworkContract):
    name = "unet"
    options: ClassVar[dict[str, Any]] = {"norm": "group", "width": 8}
    steps = 40
    learning_rate = 1e-2


class TestUNetTwoBranches(TwoBranches, NetworkContract):
    name = "unet"
    options: ClassVar[dict[str, Any]] = {"branches": 2}
    steps = 60
    learning_rate = 1e-2


class TestUNetVolumes(NetworkContract):
    name = "unet"
    dimension = 3
    options: ClassVar[dict[str, Any]] = {"width": 8, "depth": 3}
    size = (8, 24, 20)
    odd_sizes = ((5, 17, 23), (1, 3, 9))
    steps = 40
    learning_rate = 1e-2

    def test_a_volume_of_equal_planes_is_the_image_of_one_plane(self) -> None:
        """An independent reference: a 3-D network whose kernels use their middle plane only is the 2-D network."""
        torch.manual_seed(0)
        flat = UNet(image_channels=1, structures=1, dimension=2, width=4, depth=2).eval()
        solid = UNet(image_channels=1, structures=1, dimension=3, width=4, depth=2).eval()
        state = {}
        for name, target in solid.state_dict().items():
            source = flat.state_dict()[name]
            if target.ndim == 5 and target.shape[2] == 3:
                state[name] = torch.zeros_like(target)
                state[name][:, :, 1] = source
            elif target.ndim > source.ndim:
                state[name] = source.unsqueeze(2 if target.ndim == 5 else 1).expand_as(target)
            else:
                state[name] = source
        solid.load_state_dict(state)
        image = self.images(1, size=(20, 13))
        with torch.no_grad():
            volumes = solid(image[:, :, None].expand(-1, -1, 6, -1, -1))
            for plane, volume in zip(flat(image)[:2], volumes[:2], strict=True):
                torch.testing.assert_close(volume, plane[:, :, None].expand_as(volume), rtol=1e-4, atol=1e-5)
