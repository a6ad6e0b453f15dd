"""Every setting of a run, in one place, checked before anything starts.

A run is described by one frozen :class:`RunConfig`. It is assembled from the profile (how large), the recipe (what is
learned from), an optional TOML file and ``--set section.key=value``, later ones winning, and unknown keys are refused.
The run folder keeps the result as ``config.toml``, so that a run says what it was.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tallymark.data.splits import Fold
from tallymark.errors import ConfigError

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class DataConfig(_Section):
    """What the run reads from the study."""

    size: tuple[Annotated[int, Field(ge=8)], ...] = Field(default=(96, 96), description="(planes,) rows, columns")
    marks: str | None = Field(default=None, description="mark set; None: the only one there is")
    numbers: str | None = Field(default=None, description="number variant; None: recorded, or the only one")
    masks: Share | None = Field(
        default=None,
        description="share of the training cases whose full mask is read, where there is one; None: all if supervised",
    )
    marked: Share = Field(default=1.0, description="share of the training cases whose marks are read")
    numbered: Share = Field(default=1.0, description="share of the training cases whose numbers are read")
    fold: str | None = Field(
        default=None,
        description="2/5: test on the second of five folds, None: as the table says; 2/5 whole: train on all else",
    )

    @field_validator("fold", mode="before")
    @classmethod
    def _a_fold(cls, fold: object) -> str | None:
        try:
            return None if fold is None else str(Fold.parse(str(fold)))
        except ConfigError as error:
            raise ValueError(f"{error.what}; expected {error.expected}") from None


class ModelConfig(_Section):
    """Which network."""

    name: str = "unet"
    weights: str = Field(default="random", description="random, imagenet (downloads) or a local file")
    options: dict[str, int | float | str | bool] = Field(default_factory=dict)


class StatisticTerm(_Section):
    """L_s: the predicted statistic against the number that was kept."""

    weight: Weight = 0.0
    area: Literal["soft", "hard"] = "soft"
    level: Literal["image", "batch"] = "image"


class WeakTerm(_Section):
    """L_ws: the marked pixels belong to the structure; weight and reduction of the exclusion marks as well."""

    weight: Weight = 0.0
    reduction: Literal["all", "marked"] = "all"
    zero_is_background: bool = Field(
        default=False, description="every pixel is background where the number of a structure is exactly 0"
    )


class Term(_Section):
    """A loss that has nothing but a weight."""

    weight: Weight = 0.0


class SizeTerm(_Section):
    """Squared distance of the predicted size to the known one, free within a margin."""

    weight: Weight = 0.0
    margin: Share = Field(default=0.1, description="share of a known size; an interval is its own margin")


class LogBarrierTerm(_Section):
    """The same margin as a log-barrier that grows sharper, geometrically, from the first step to the last."""

    weight: Weight = 0.0
    margin: Share = Field(default=0.1, description="share of a known size; an interval is its own margin")
    start: Positive = Field(default=5.0, description="sharpness t in the first step")
    end: Positive = Field(default=500.0, description="sharpness t in the last step")


class RankedNegativesTerm(_Section):
    """Pixels that the network ranks too low for the known size are background."""

    weight: Weight = 0.0
    margin: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        default=1.5, description="pixels up to this multiple of the known size are left alone"
    )


class NnpuTerm(_Section):
    """Non-negative risk of learning from positive and unlabelled pixels; the prior is the known size."""

    weight: Weight = 0.0
    surrogate: Literal["sigmoid", "logistic"] = "sigmoid"
    beta: Weight = Field(default=0.0, description="how far the negative risk may fall below 0")
    gamma: Weight = Field(default=1.0, description="length of the step that undoes overfitting")


class GatedCrfTerm(_Section):
    """Near pixels that look alike should get the same label."""

    weight: Weight = 0.0
    radius: Annotated[int, Field(ge=1, le=20)] | None = Field(
        default=None, description="half the edge of the window, in pixels; None: 5 in images, 2 in volumes"
    )
    position: Positive = Field(default=6.0, description="standard deviation, in pixels")
    intensity: Positive = Field(default=0.1, description="standard deviation, of an image in [0, 1]")


class GrownTerm(_Section):
    """Marks grown to the known area as labels; later the averaged network's own outline, cut to that area."""

    weight: Weight = 0.0
    cost: Literal[
        "auto", "euclidean", "paths", "walker", "consensus", "blend", "revised", "appearance", "candidates"
    ] = "auto"
    straight: Share = Field(
        default=0.5,
        description="share of growth by distance alone in the label, which is soft where the two differ",
    )
    weights: str | None = Field(default=None, description="folder of a SAM or MedSAM, for the cost candidates")
    propose: bool = Field(
        default=True,
        description="where hardly anybody marked or masked a structure, blobs of its size stand in",
    )
    close_ups: bool = Field(
        default=True,
        description="outline what was marked in close-ups first, by a network of their own, and learn from that",
    )
    trust: bool = Field(default=True, description="marks belong to the label in any case; false: some may lie outside")
    band: Share = Field(default=0.0, description="pixels of which the growth is less sure than this are left out")
    warmup: Share = Field(default=0.35, description="share of the training on grown marks alone; 1: all of it")
    anchor: Share = Field(default=0.25, description="share that grown marks keep in the label afterwards")
    guard: bool = Field(
        default=True, description="keep the more of the growth, the less the network agrees with itself"
    )
    pull: Weight = Field(default=4.0, description="logits that a place in the order of growth is worth")
    reach: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(
        default=3.0, description="only so many times the area, in the order of growth, can be labelled"
    )
    temperature: Weight = Field(default=0.0, description="0: hard labels; above: soft ones of the same area")
    confident: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.95, description="without a number, pixels of which the averaged network is so sure teach; 1: none"
    )


class LossConfig(_Section):
    """Every loss can be switched on or off by its weight, in any recipe.

    Beside grown marks, the losses that know no label (all but cross-entropy and Dice) begin when the warm-up ends.
    """

    statistic: StatisticTerm = StatisticTerm()
    weak: WeakTerm = WeakTerm()
    confidence: Term = Term()
    reconstruction: Term = Term()
    cross_entropy: Term = Term()
    dice: Term = Term()
    size: SizeTerm = SizeTerm()
    log_barrier: LogBarrierTerm = LogBarrierTerm()
    ranked_negatives: RankedNegativesTerm = RankedNegativesTerm()
    nnpu: NnpuTerm = NnpuTerm()
    gated_crf: GatedCrfTerm = GatedCrfTerm()
    mixed_pseudo_labels: Term = Term()
    grown: GrownTerm = GrownTerm()

    def at(self, progress: float) -> LossConfig:
        """The losses of a stage of the training: in the warm-up on grown marks, those that know a label."""
        if self.grown.weight == 0 or progress >= self.grown.warmup:
            return self
        return LossConfig(grown=self.grown, cross_entropy=self.cross_entropy, dice=self.dice)


CLOSE_UP = "close_up"
"""In the place of a recipe's name: what the network of close-ups learns by."""


class AugmentConfig(_Section):
    """Augmentation that keeps the number true: the whole image stays in view, unless views are cut out."""

    flip: tuple[Literal["row", "column", "plane"], ...] = Field(
        ("column",), description="axes flipped half of the time"
    )
    affine: Share = Field(
        0.0,
        description="share of the views that are turned, shrunk and shifted inside the frame",
    )
    rotation: Annotated[float, Field(ge=0, le=180)] = Field(default=15.0, description="degrees, in 2-D")
    shrink: Annotated[float, Field(gt=0, le=1)] = Field(default=0.8, description="smallest scale; never enlarged")
    crop: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="of close-ups alone: views of this share of each side, turned, shifted and enlarged by up to a "
        "fifth",
    )
    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.2
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.2
    noise: Annotated[float, Field(ge=0, le=1)] = 0.02


class OptimConfig(_Section):
    """The schedule."""

    epochs: Annotated[int, Field(ge=1)] = 60
    steps: Annotated[int, Field(ge=0)] = Field(
        default=0, description="at least so many: few images come round more often; 0: as many epochs as are said"
    )
    batch_size: Annotated[int, Field(ge=1)] = 16
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    weight_decay: Weight = 1e-4
    warmup: Share = Field(
        0.05,
        description="share of all steps over which the learning rate rises from zero",
    )
    gradient_clip: Weight = Field(default=1.0, description="largest gradient norm; 0: none")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.99, description="averaged weights; 0: none")

    def epochs_of(self, batches: int) -> int:
        """Epochs of a training whose epoch has so many batches.

        Example:
            >>> schedule = OptimConfig(epochs=40, steps=600)
            >>> schedule.epochs_of(19), schedule.epochs_of(3)
            (40, 200)
        """
        return max(self.epochs, math.ceil(self.steps / batches))

    def epochs_on(self, images: int) -> int:
        """The same of a training on so many images; images that no full batch holds are left to other epochs."""
        return self.epochs_of(max(1, images // self.batch_size))

    @property
    def length(self) -> str:
        """How long a training is, in words.

        Example:
            >>> OptimConfig(epochs=40).length, OptimConfig(epochs=40, steps=600).length
            ('40 epochs', '40 epochs and at least 600 steps')
        """
        return f"{self.epochs} epochs" + (f" and at least {self.steps} steps" if self.steps else "")


class RuntimeConfig(_Section):
    """Where and how it is computed; none of these changes what is learned, beyond rounding."""

    accelerator: str = Field(default="auto", description="as Lightning's Trainer: auto, cpu, gpu")
    devices: int | str = "auto"
    nodes: Annotated[int, Field(ge=1)] = 1
    precision: str = Field(default="auto", description="auto: bf16-mixed where the hardware has it, else 32-true")
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="loader processes; 0 is fastest here")
    checkpoint_every: Annotated[int, Field(ge=1)] = Field(default=1, description="epochs between two checkpoints")


class PredictConfig(_Section):
    """How the trained network is asked."""

    flips: bool = Field(default=True, description="average over the flips that the training saw")
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    exclusive: bool = Field(default=True, description="a pixel is of the likeliest structure alone")


class RunConfig(_Section):
    """One training run, complete."""

    recipe: str
    profile: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    losses: LossConfig = LossConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    predict: PredictConfig = PredictConfig()

    @model_validator(mode="after")
    def _masks_are_for_a_loss(self) -> RunConfig:
        losses = self.losses
        if self.data.masks and not any(t.weight > 0 for t in (losses.cross_entropy, losses.dice, losses.grown)):
            raise ValueError("data.masks: no loss of this recipe reads a mask; expected grown, cross_entropy or dice")
        return self

    @property
    def reads_numbers(self) -> bool:
        """Whether a loss needs the numbers."""
        weak = self.losses.weak
        return self.losses.statistic.weight > 0 or self.reads_sizes or (weak.weight > 0 and weak.zero_is_background)

    @property
    def reads_sizes(self) -> bool:
        """Whether a loss needs the size of a structure, which not every number tells."""
        losses = self.losses
        counting = (losses.size, losses.log_barrier, losses.ranked_negatives, losses.nnpu, losses.grown)
        return any(term.weight > 0 for term in counting)

    @property
    def reads_marks(self) -> bool:
        """Whether a loss needs the marks."""
        losses = self.losses
        return any(term.weight > 0 for term in (losses.weak, losses.ranked_negatives, losses.nnpu, losses.grown))

    @property
    def reads_masks(self) -> bool:
        """Whether any full mask is read to learn from: such a run is supervised, in part at least, and says so."""
        if self.data.masks is not None:
            return self.data.masks > 0
        return self.losses.cross_entropy.weight > 0 or self.losses.dice.weight > 0

    def to_toml(self) -> str:
        """The configuration as a TOML document; unset options are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
