"""Features of the two neighbours of a section, F₀₂ and F₂₀."""

from __future__ import annotations

from torch import Tensor, nn

from napari_aeanet.interpolation.config import Extractor, SsanConfig
from napari_aeanet.interpolation.dense_blocks import ResidualDenseNetwork
from napari_aeanet.networks import UNetConfig, build

SIAMESE = (Extractor.SIAMESE_DENSE, Extractor.SIAMESE_UNET)
DENSE = (Extractor.SIAMESE_DENSE, Extractor.DENSE)


class FeatureExtractor(nn.Module):
    """Return (F₀₂, F₂₀) of neighbours (N, 2, H, W).

    A siamese extractor is applied to [I₀, I₂] and to [I₂, I₀]: swapped neighbours give swapped
    features. Another one is applied to [I₀, I₂] and has twice as many outputs.
    """

    def __init__(self, config: SsanConfig) -> None:
        super().__init__()
        self.is_siamese = config.extractor in SIAMESE
        channels = config.channels if self.is_siamese else 2 * config.channels
        self.network: nn.Module
        if config.extractor in DENSE:
            self.network = ResidualDenseNetwork(
                2,
                channels,
                blocks=config.blocks,
                convolutions=config.convolutions,
                growth=config.growth,
            )
        else:
            # Bias for the output, which no normalisation precedes.
            self.network = build(
                UNetConfig(
                    in_channels=2,
                    out_channels=channels,
                    features=config.channels // 2,
                    bottom="block",
                    batch_norm=False,
                    out_bias=True,
                )
            )

    def forward(self, neighbours: Tensor) -> tuple[Tensor, Tensor]:
        if self.is_siamese:
            return self.network(neighbours), self.network(neighbours.flip(1))
        first, second = self.network(neighbours).chunk(2, dim=1)
        return first, second
