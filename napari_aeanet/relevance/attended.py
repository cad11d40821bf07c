"""Attention of places of an image, from its queries and keys. No torch here.

    A(x) = c · [ Σ_x' (q(x) · k(x')) v(x') + Σ_j (q(x) · k(f_j)) v(f_j) ],   c = 1 / (√w (s + r))

is the output of a linear attention at x, before the projection that follows: w is the width of a
head, s the number of pixels x' of the attention, r that of the abstract pixels f_j. The map

    M_x(x') = q(x) · k(x')

is signed: the values of places with a positive number are added, of others subtracted. It is one
matrix product with the keys of the whole image, which are computed once and kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.relevance.frame import MapFrame, calibrated
from napari_aeanet.relevance.settings import RelevanceMaps

if TYPE_CHECKING:
    from napari_aeanet.restoration import NetworkInput


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Attention of one place to all places of its plane or stack, on the grid of the keys.

    Parameters
    ----------
    values
        q(x) · k(x'), signed; along axes that the model does not see, one plane: (axes...).
    relevance
        q(x) · k(f_j) for every abstract pixel: (abstract pixels,), empty without any.
    factor
        Factor from these numbers to the weights of the values in the attention.
    place
        The place x, in pixels of the image.
    axes, scale, translate
        As of `RelevanceMaps`.
    image
        The source.
    """

    values: np.ndarray
    relevance: np.ndarray
    factor: float
    place: tuple[float, ...]
    axes: str
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    image: Image

    def as_image(self) -> Image:
        """Return the map with its position and the unit of the image."""
        at = ", ".join(f"{p:g}" for p in self.place)
        name = f"{self.image.name} attention of ({at})"
        return calibrated(self.image, self.values, self.axes, self.scale, self.translate, name)


@dataclass(frozen=True, eq=False)
class KeptAttention:
    """Queries and keys of one attention over a plane or stack: the map of any place at once.

    Parameters
    ----------
    source
        The plane or stack, as the network reads it.
    queries, keys
        Shape (channels, grid of the queries or keys...).
    reference_keys
        Keys of the abstract pixels: (abstract pixels, channels).
    factor
        As of `AttentionMap`.
    query_frame, key_frame
        Positions of queries and keys on the image.
    names
        Names given to abstract pixels by the user, by their number from 0.
    notices
        Remarks for the user.
    """

    source: NetworkInput
    queries: np.ndarray
    keys: np.ndarray
    reference_keys: np.ndarray
    factor: float
    query_frame: MapFrame
    key_frame: MapFrame
    names: Mapping[int, str]
    notices: tuple[str, ...]
    progress: Progress

    @property
    def image(self) -> Image:
        return self.source.image

    def holds(self, position: Sequence[float]) -> bool:
        """Return True if a position, in pixels of the image, lies in this plane or stack."""
        return is_inside(self.image, position) and is_on(self.source, position)

    def at(self, position: Sequence[float]) -> AttentionMap:
        """Return the attention of the place nearest to a position.

        Parameters
        ----------
        position
            In pixels of the image, counted from 0, along each of its axes.

        Raises
        ------
        ValueError
            If it lies outside the image, or in another plane than the one that was analysed.
        """
        check_position(self.image, position)
        if not is_on(self.source, position):
            raise ValueError(f"{_text(position)} lies in another plane than the one analysed.")
        everything: tuple[slice | int, ...] = (slice(None),)
        query = self.queries[everything + self.query_place(position)]
        products = query @ self.keys.reshape(len(self.keys), -1)
        frame = self.key_frame
        return AttentionMap(
            values=products.reshape(self._shape(frame, self.keys)),
            relevance=self.reference_keys @ query,
            factor=self.factor,
            place=tuple(float(p) for p in position),
            axes=frame.axes,
            scale=frame.scale,
            translate=self._translate(frame),
            image=self.image,
        )

    def relevance_of(self, *pixels: int) -> RelevanceMaps:
        """Return the relevance maps of abstract pixels (numbers from 0) over the plane or stack."""
        flat = self.queries.reshape(len(self.queries), -1)
        frame = self.query_frame
        products = self.reference_keys[list(pixels)] @ flat
        return RelevanceMaps(
            maps=products.reshape(len(pixels), *self._shape(frame, self.queries)),
            axes=frame.axes,
            scale=frame.scale,
            translate=self._translate(frame),
            image=self.image,
            names=dict(self.names),
            notices=self.notices,
            progress=self.progress,
        )

    def _shape(self, frame: MapFrame, values: np.ndarray) -> list[int]:
        """Return the shape of a map with one plane along axes that the model does not see."""
        lengths = dict(zip(frame.attention_axes, values.shape[1:], strict=True))
        return [lengths.get(axis, 1) for axis in frame.axes]

    def _translate(self, frame: MapFrame) -> tuple[float, ...]:
        """Return the position of the first map pixel, of the plane along axes not seen."""
        image = self.image
        first = dict(zip(_spatial(frame.axes, image), frame.translate, strict=True))
        for axis, span in zip(image.axes, self.source.place, strict=True):
            if axis in first and axis not in frame.attention_axes:
                size = image.pixel_size[image.spatial_axes.index(axis)] or 1.0
                first[axis] += (span.start or 0) * size
        return tuple(first.values())

    def query_place(self, position: Sequence[float]) -> tuple[int, ...]:
        """Return the place on the grid of the queries."""
        nearest = self.query_frame.nearest(self.image, position)
        by_axis = dict(zip(self.query_frame.axes, nearest, strict=True))
        return tuple(by_axis[axis] for axis in self.query_frame.attention_axes)


AttentionEvent = Progressed | KeptAttention


def check_position(image: Image, position: Sequence[float]) -> None:
    """Raise ValueError unless `position` has a number for each axis, inside the image."""
    if len(position) != len(image.axes):
        axes = " ".join(image.axes)
        msg = f"a place in {image.name} is given by {axes}, got {len(position)} numbers."
        raise ValueError(msg)
    if not is_inside(image, position):
        size = " × ".join(map(str, image.shape))
        msg = f"{_text(position)} lies outside {image.name}, which has {size} pixels."
        raise ValueError(msg)


def is_inside(image: Image, position: Sequence[float]) -> bool:
    return all(
        isfinite(p) and -0.5 <= p <= n - 0.5 for p, n in zip(position, image.shape, strict=True)
    )


def is_on(source: NetworkInput, position: Sequence[float]) -> bool:
    """Return True if a position lies in the plane or stack of an input of the network."""
    return all(
        span == slice(None) or span.start == round(p)
        for span, p in zip(source.place, position, strict=True)
    )


def _spatial(axes: str, image: Image) -> list[str]:
    return [axis for axis in axes if axis in image.spatial_axes]


def _text(position: Sequence[float]) -> str:
    return f"({', '.join(f'{p:g}' for p in position)})"
