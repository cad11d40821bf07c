"""Turn the network's output for a tile into a block of the result, and of its height map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import intersection, within
from napari_aeanet.networks import Network
from napari_aeanet.restoration.layout import Layout, along_z
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.output_dtype import ClippedPixels


@dataclass(frozen=True, eq=False)
class Assembler:
    """From tiles of a padded input to blocks of the result.

    In all methods `region` is that of the tile in the padded input.
    """

    layout: Layout
    network: Network

    def region(self, source: NetworkInput, region: Region) -> Region:
        """Return the place of a tile's block in the result."""
        spans = dict(zip(self.network.output_axes, self._on_image(source, region)[1], strict=True))
        places = dict(zip(source.image.axes, source.place, strict=True))
        return tuple(spans.get(axis, places[axis]) for axis in self.layout.output.axes)

    def block(
        self,
        source: NetworkInput,
        region: Region,
        values: np.ndarray,
        clipped: ClippedPixels | None = None,
    ) -> np.ndarray:
        """Return outputs (channels, pixels...) as pixels of the result.

        Cut to the image, in its intensities, missing pixels left empty. Pixels beyond the number
        type are counted in `clipped`.
        """
        kept, on_image = self._on_image(source, region)
        encoding = self.layout.encoding
        pixels = source.scaling.undo(values[0][kept])
        if encoding.dtype.kind == source.image.dtype.kind == "f":
            pixels[self._missing(source, on_image)] = np.nan
        return self._with_looped_axes(encoding.encode(pixels, clipped))

    def heights(self, source: NetworkInput, region: Region, values: np.ndarray) -> np.ndarray:
        """Return outputs (channels, pixels...) as pixels of the height map.

        A height is the position along Z of the plane that contributes most to a pixel. Plane p of
        the model's grid, which may have other planes than the image, lies at plane
        (p + 1/2) / factor - 1/2 of the image, and that at origin + plane · distance of planes.
        """
        kept, on_image = self._on_image(source, region)
        planes = values[-1][kept].astype(np.float64)  # heights are the last channel
        distance, first = along_z(source.image)
        factor = source.factors[source.axes.index("Z")]
        heights = first + distance * ((planes + 0.5) / factor - 0.5)
        if source.image.dtype.kind == "f":
            heights[self._missing(source, on_image)] = np.nan
        return self._with_looped_axes(heights.astype(np.float32))

    def cut(self, source: NetworkInput, region: Region, values: np.ndarray) -> np.ndarray:
        """Return values (output pixels...) over a tile as a block: cut to the image."""
        return self._with_looped_axes(values[self._on_image(source, region)[0]])

    def _with_looped_axes(self, values: np.ndarray) -> np.ndarray:
        """Return one plane or stack with the other axes of the result, each of length 1."""
        axes = self.layout.output.axes
        looped = tuple(i for i, a in enumerate(axes) if a not in self.network.output_axes)
        return np.expand_dims(values, looped)

    def _on_image(self, source: NetworkInput, region: Region) -> tuple[Region, Region]:
        """Return the part of a tile's output on the image: in the tile, and on the image."""
        unpadded = tuple(
            slice(before, before + n)
            for (before, _), n in zip(source.padding, source.size, strict=True)
        )
        image, tile = self.network.output_region(unpadded), self.network.output_region(region)
        common = intersection(tile, image)
        assert common is not None, "padding is shorter than a step of the grid"
        return within(common, tile), within(common, image)

    def _missing(self, source: NetworkInput, region: Region) -> np.ndarray:
        """Return a mask of the pixels of a region of the output without a number in the source.

        Under a projection these are the pixels where no plane has one.
        """
        scale = self.network.scale
        projected = len(source.size) - len(region)
        coarse = tuple(
            slice(s.start // f, -(-s.stop // f)) for s, f in zip(region, scale, strict=True)
        )
        gone = source.missing((*(slice(0, n) for n in source.size[:projected]), *coarse))
        gone = np.logical_and.reduce(gone.reshape(-1, *gone.shape[projected:]))
        for axis, (s, c, f) in enumerate(zip(region, coarse, scale, strict=True)):
            inside = range(s.start - c.start * f, s.stop - c.start * f)
            gone = gone.repeat(f, axis).take(inside, axis)
        return gone
