"""Compare the pixel size of an image with that of a model, and fit it if they differ."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import METRES, TOLERANCE, convert, lengths_in_words
from napari_aeanet.models import ModelCard


@dataclass(frozen=True)
class Fit:
    """The resampling that brings an image to a model's grid.

    Parameters
    ----------
    factors
        Pixels of the model's grid per image pixel, along each axis of the model's input.
    notices
        Remarks for the user.
    """

    factors: tuple[float, ...]
    notices: tuple[str, ...] = ()


def fit_to_model(
    image: Image, card: ModelCard, axes: str, *, resample: bool = False, force: bool = False
) -> Fit:
    """Return the resampling of `image` to the grid of the model that `card` describes.

    With known pixel sizes p (image) and m (the model's grid) and the model's ratio f:

    - p = m f: as trained, made f times finer;
    - p = m: it is on the model's grid already (an enlarged image, say), and stays as it is;
    - else it is refused, unless `resample` (made p / m times finer) or `force` (made f times
      finer all the same).

    Where a pixel size is unknown, it is assumed to be as trained.

    Parameters
    ----------
    axes
        Axes of the network's input, "YX" or "ZYX".
    """
    ratio = _for_axes(card.ratio, axes, 1.0)
    sizes = _relative_sizes(image, card, axes)
    if sizes is None:
        return Fit(ratio, _assumed(image, card, axes))
    if _all_close(sizes, ratio):
        return Fit(ratio)
    if resample:
        factors = tuple(s if not isclose(s, 1, rel_tol=TOLERANCE) else 1.0 for s in sizes)
        text = (
            f"Resampled from {_words(image, axes)} to {_trained(card)} a pixel, the size the "
            "model works at."
        )
        return Fit(factors, (text,))
    if _all_close(sizes, (1.0,) * len(sizes)):
        text = (
            f"The image already has the pixel size of the model's output ({_trained(card)}): "
            "restored without enlarging it."
        )
        return Fit((1.0,) * len(sizes), (text,))
    differs = (
        f"The model was trained on images of {_expected(card, axes)} a pixel, this one has "
        f"{_words(image, axes)}"
    )
    if force:
        return Fit(ratio, (f"{differs}: the result may be unreliable.",))
    msg = (
        f"{image.name}: {differs[0].lower()}{differs[1:]}. Resample it to the model's pixel size "
        "(--resample), or restore it all the same (--force)."
    )
    raise ValueError(msg)


def _relative_sizes(image: Image, card: ModelCard, axes: str) -> tuple[float, ...] | None:
    """Return the image pixel size in pixels of the model's grid, per axis; None if unknown.

    An axis whose size is unknown on one side (the planes of a stack, often) counts as fitting.
    """
    if image.unit not in METRES or card.unit not in METRES:
        return None
    known = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    ratio = _for_axes(card.ratio, axes, 1.0)
    sizes = []
    for axis, model_size, factor in zip(axes, _model_sizes(card, axes), ratio, strict=True):
        size = known.get(axis)  # an image without planes is refused elsewhere
        if size is None or model_size is None:
            if axis in "YX":
                return None
            sizes.append(factor)
        else:
            sizes.append(convert(size, image.unit, card.unit) / model_size)
    return tuple(sizes)


def _assumed(image: Image, card: ModelCard, axes: str) -> tuple[str, ...]:
    """Return remarks on a pixel size that is unknown on one side."""
    knows = card.unit in METRES and None not in _model_sizes(card, axes)[-2:]
    height, width = image.pixel_size[-2:]
    states = image.unit in METRES and height is not None and width is not None
    if knows == states:
        return ()
    if knows:
        taken = _expected(card, axes)
        return (f"The pixel size of {image.name} is unknown: taken to be {taken}, as in training.",)
    assert height is not None and width is not None
    is_square, factor = _all_close((height,), (width,)), card.ratio[-1]
    return (
        f"The model does not know the pixel size of its training: that of {image.name} "
        f"({_words(image, axes)}{'' if is_square else ', not square'}) was not checked"
        f"{'' if factor == 1 else f', and it was enlarged {factor:g} times'}.",
    )


def _expected(card: ModelCard, axes: str) -> str:
    """Return the pixel size of the images that the model was trained on, in words."""
    ratio = _for_axes(card.ratio, axes, 1.0)
    sizes = zip(_model_sizes(card, axes), ratio, strict=True)
    return lengths_in_words([None if m is None else m * f for m, f in sizes], card.unit)


def _model_sizes(card: ModelCard, axes: str) -> tuple[float | None, ...]:
    return _for_axes(card.pixel_size, axes, None)


def _for_axes(values: tuple, axes: str, missing: float | None) -> tuple:
    """Return the values of the last axes, preceded by `missing` for the others."""
    return ((missing,) * len(axes) + tuple(values))[-len(axes) :]


def _all_close(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return all(isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(first, second, strict=True))


def _trained(card: ModelCard) -> str:
    return lengths_in_words(card.pixel_size, card.unit)


def _words(image: Image, axes: str) -> str:
    known = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    return lengths_in_words([known[axis] for axis in axes], image.unit)
