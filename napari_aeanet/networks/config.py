"""What each network is made of: frozen, torch-free descriptions that JSON can hold.

A configuration says everything needed to build a network (`napari_aeanet.networks.build`);
weights come on top. Nothing here imports torch, so that menus and tables can list networks
at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

Block = Literal["preactivation", "plain"]
Down = Literal["convolution", "residual", "attention_v1", "attention_v2"]
Bottom = Literal["attention", "block", "none"]
Up = Literal["transposed", "attention_v1", "attention_v2"]
Skip = Literal["concatenate", "add"]
Divisor = Literal["keys", "queries"]
Normalisation = Literal["linear", "softmax"]
Architecture = Literal["vdsr", "edsr", "rcan"]

SIGMA_FLOOR = 1e-3
"""Added to every sigma, so that the probabilistic losses stay finite."""


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """The U-shaped network that U-Net, GVTNet and AEANet are forms of.

    Parameters
    ----------
    dims
        Spatial dimensions: 2 (YX) or 3 (ZYX).
    in_channels, out_channels
        Channels of the images before and after.
    features
        Channels of the first level; each deeper level has twice as many.
    levels
        Resolutions, counting the full one; the image is padded to a multiple of 2^(levels - 1).
    encoder_blocks, decoder_blocks
        Convolution blocks per level, the finest level first. The encoder's last entry counts
        the blocks of the deepest level *before* the bottom block.
    block
        "preactivation": residual block, bn - relu6 - conv - bn - relu6 - conv plus a shortcut.
        "plain": twice conv - bn - relu, convolutions with bias.
    down, down_kernel
        "convolution" (stride 2), "residual" (block with stride 2), or a down-sampling attention.
    bottom
        "attention", "block" for one more convolution block, or "none".
    up, up_kernel
        "transposed" convolution (stride 2) or an up-sampling attention. Version 2 of an attention
        adds its query as the residual, version 1 a convolution of its own.
    skip
        How the encoder's map joins the decoder: "concatenate" (up-sampled first) or "add".
    heads, references
        Heads of every attention, and learned reference rows (abstract pixels) of each; with
        0 references it is self-attention.
    batch_aware
        While training, the first half of a batch attends to all images of that half at once.
    divisor
        What attention divides by where it changes the size: the number of "keys" (with the
        references, as in AEANet) or of "queries" (as the published GVTNet networks do). At the
        same size both are equal.
    normalisation
        "linear" divides by the number of keys; "softmax" is the dense form, for comparison only:
        it has no context that tiles could share.
    batch_norm, batch_norm_momentum
        Batch normalisation, and the share of a new batch in its running statistics.
    out_kernel, out_bias
        Width of the output convolution, and whether it has a bias.
    sigma
        Add a second head for the per-pixel uncertainty.
    sigma_start
        Where sigma begins, the same at every pixel; its head then has a bias. None: as published,
        without one and with random weights, near 0.7.
    offset
        The network predicts what to add to its input.
    zero_output
        Begin with an output convolution of zeros; with `offset` the untrained network is then
        the identity.
    """

    kind: ClassVar[str] = "unet"

    dims: int = 2
    in_channels: int = 1
    out_channels: int = 1
    features: int = 32
    levels: int = 3
    encoder_blocks: tuple[int, ...] = (1, 1, 0)
    decoder_blocks: tuple[int, ...] = (1, 1)
    block: Block = "preactivation"
    down: Down = "convolution"
    down_kernel: int = 3
    bottom: Bottom = "attention"
    up: Up = "transposed"
    up_kernel: int = 4
    skip: Skip = "concatenate"
    heads: int = 2
    references: int = 0
    batch_aware: bool = False
    divisor: Divisor = "keys"
    normalisation: Normalisation = "linear"
    batch_norm: bool = True
    batch_norm_momentum: float = 0.003
    out_kernel: int = 1
    out_bias: bool = False
    sigma: bool = False
    sigma_start: float | None = None
    offset: bool = False
    zero_output: bool = False

    def __post_init__(self) -> None:
        _require(self.dims in (1, 2, 3), f"dims must be 1, 2 or 3, got {self.dims}.")
        for name in ("in_channels", "out_channels", "features", "levels", "heads"):
            _require_positive(name, getattr(self, name))
        _require(
            len(self.encoder_blocks) == self.levels and len(self.decoder_blocks) == self.levels - 1,
            f"{self.levels} levels need {self.levels} encoder_blocks and {self.levels - 1} "
            f"decoder_blocks, got {self.encoder_blocks} and {self.decoder_blocks}.",
        )
        _require_above_floor(self.sigma_start)
        _require(
            self.block != "plain" or min(self.encoder_blocks + self.decoder_blocks) > 0,
            "a network of plain blocks changes its channels in them, so every level needs one, got "
            f"{self.encoder_blocks} and {self.decoder_blocks}.",
        )
        _require(
            self.skip == "add" or min(self.decoder_blocks, default=1) > 0,
            "after concatenating, a block halves the channels again, so every decoder level needs "
            f"one, got {self.decoder_blocks}.",
        )
        _require(
            self.features % self.heads == 0,
            f"features ({self.features}) must be a multiple of heads ({self.heads}).",
        )
        _require(
            not self.offset or self.in_channels == self.out_channels,
            "offset adds the input to the output, so both need the same number of channels, got "
            f"{self.in_channels} and {self.out_channels}.",
        )
        _require_references_by_keys(self.divisor, self.references)
        _require_dense_alone(self.normalisation, self.references, self.batch_aware)

    @property
    def has_attention(self) -> bool:
        parts = (self.down, self.bottom, self.up)
        return any(part.startswith("attention") for part in parts)


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """A surface projection from Z×Y×X to Y×X, followed by a two-dimensional network.

    Parameters
    ----------
    projection_features
        Channels of the projecting part.
    attention
        Whether the projecting part attends (its bottom and its up-samplings); otherwise it has a
        residual block and transposed convolutions there.
    heads, references, divisor
        As in `UNetConfig`, for the projecting part.
    image
        The network that restores the projected image.
    """

    kind: ClassVar[str] = "projection"

    projection_features: int = 8
    attention: bool = True
    heads: int = 2
    references: int = 0
    divisor: Divisor = "keys"
    image: UNetConfig = field(
        default_factory=lambda: UNetConfig(up="attention_v2", batch_norm=False, offset=True)
    )

    def __post_init__(self) -> None:
        for name in ("projection_features", "heads"):
            _require_positive(name, getattr(self, name))
        _require(
            self.projection_features % self.heads == 0,
            f"projection_features ({self.projection_features}) must be a multiple of heads "
            f"({self.heads}).",
        )
        _require_references_by_keys(self.divisor, self.references)
        _require(
            self.image.dims == 2 and self.image.in_channels == 1,
            "a projection is restored by a two-dimensional network with one input channel, got "
            f"{self.image.dims} dimensions and {self.image.in_channels} channels.",
        )
        _require(
            self.image.normalisation == "linear",
            "a projection network has linear attention only.",
        )

    # What callers ask of any configuration is answered by the two-dimensional part.

    @property
    def dims(self) -> int:
        return 3

    @property
    def in_channels(self) -> int:
        return 1

    @property
    def out_channels(self) -> int:
        return self.image.out_channels

    @property
    def features(self) -> int:
        return self.image.features

    @property
    def levels(self) -> int:
        return self.image.levels

    @property
    def batch_aware(self) -> bool:
        return self.image.batch_aware

    @property
    def batch_norm(self) -> bool:
        return self.image.batch_norm

    @property
    def sigma(self) -> bool:
        return self.image.sigma

    @property
    def offset(self) -> bool:
        return self.image.offset

    @property
    def has_attention(self) -> bool:
        return self.attention or self.image.has_attention


@dataclass(frozen=True, kw_only=True)
class SuperResConfig:
    """A convolutional super-resolution network, to compare with; two-dimensional.

    Parameters
    ----------
    architecture
        "vdsr" (plain, on the target grid), "edsr" (residual blocks at half of the resolution) or
        "rcan" (groups of residual blocks with channel attention, at half of the resolution).
    in_channels, out_channels
        Channels of the images before and after.
    features
        Channels of the body.
    blocks
        Convolutions of a VDSR between the first and the last; residual blocks of an EDSR; of an
        RCAN, those of each group.
    groups, reduction
        Of an RCAN: residual groups, and by how much channel attention narrows.
    residual_scale
        Of an EDSR: the factor on every residual.
    sigma, sigma_start, offset, zero_output
        As in `UNetConfig`.
    """

    kind: ClassVar[str] = "superres"

    architecture: Architecture = "edsr"
    in_channels: int = 1
    out_channels: int = 1
    features: int = 64
    blocks: int = 16
    groups: int = 1
    reduction: int = 16
    residual_scale: float = 1.0
    sigma: bool = False
    sigma_start: float | None = None
    offset: bool = False
    zero_output: bool = False

    def __post_init__(self) -> None:
        _require(
            self.architecture in ("vdsr", "edsr", "rcan"),
            f"architecture must be vdsr, edsr or rcan, got {self.architecture!r}.",
        )
        for name in ("in_channels", "out_channels", "features", "blocks", "groups", "reduction"):
            _require_positive(name, getattr(self, name))
        _require_above_floor(self.sigma_start)
        _require(
            self.architecture != "rcan" or self.features % self.reduction == 0,
            f"features ({self.features}) must be a multiple of reduction ({self.reduction}).",
        )
        _require(
            not self.offset or self.in_channels == self.out_channels,
            "offset adds the input to the output, so both need the same number of channels, got "
            f"{self.in_channels} and {self.out_channels}.",
        )

    @property
    def stride(self) -> int:
        """Target pixels to a pixel of the body, along each axis."""
        return 1 if self.architecture == "vdsr" else 2

    # What callers ask of any configuration.

    @property
    def dims(self) -> int:
        return 2

    @property
    def levels(self) -> int:
        return 1

    @property
    def references(self) -> int:
        return 0

    @property
    def batch_aware(self) -> bool:
        return False

    @property
    def batch_norm(self) -> bool:
        return False

    @property
    def has_attention(self) -> bool:
        return False


NetworkConfig = UNetConfig | ProjectionConfig | SuperResConfig

_KINDS: dict[str, type[Any]] = {
    cls.kind: cls for cls in (UNetConfig, ProjectionConfig, SuperResConfig)
}


def config_to_json(config: NetworkConfig) -> dict[str, Any]:
    """The configuration as plain values for JSON, with its `kind`."""
    return {"kind": config.kind} | asdict(config)


def config_from_json(values: dict[str, Any]) -> NetworkConfig:
    """The configuration that `config_to_json` wrote.

    Raises
    ------
    ValueError
        If the kind or a setting is unknown, or a setting is out of range.
    """
    kind = values.get("kind")
    if kind not in _KINDS:
        msg = f"Unknown kind of network {kind!r}; known are {', '.join(sorted(_KINDS))}."
        raise ValueError(msg)
    return _read(_KINDS[kind], {name: value for name, value in values.items() if name != "kind"})


def _read(cls: type[Any], values: dict[str, Any]) -> Any:
    unknown = sorted(set(values) - {f.name for f in fields(cls)})
    _require(
        not unknown,
        f"Unknown settings of a {cls.kind} network: {', '.join(unknown)}. "
        "It may have been written by a newer version.",
    )
    return cls(**{name: _revive(value) for name, value in values.items()})


def _revive(value: Any) -> Any:
    """JSON turns tuples into lists and nested configurations into dictionaries."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return _read(UNetConfig, value)
    return value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_positive(name: str, value: int) -> None:
    _require(value >= 1, f"{name} must be at least 1, got {value}.")


def _require_above_floor(sigma_start: float | None) -> None:
    _require(
        sigma_start is None or sigma_start > SIGMA_FLOOR,
        f"sigma_start must be more than {SIGMA_FLOOR:g}, got {sigma_start}.",
    )


def _require_references_by_keys(divisor: str, references: int) -> None:
    _require(
        divisor == "keys" or references == 0,
        "shared references are keys: with them attention divides by the number of keys. Choose "
        "divisor='keys', or references=0.",
    )


def _require_dense_alone(normalisation: str, references: int, batch_aware: bool) -> None:
    _require(
        normalisation == "linear" or (references == 0 and not batch_aware),
        "softmax attention is offered for self-attention only: shared references and batch-aware "
        "training are defined by sums that a softmax does not have. Choose "
        "normalisation='linear', or references=0 and batch_aware=False.",
    )
