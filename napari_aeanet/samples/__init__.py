"""Synthetic specimens with known truth, for first trials, tests and the demo.

Every specimen is a function of its seed. The functions named `open_...` are the commands of
napari's File > Open Sample; they return layers as plain data, so nothing here imports napari.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.samples.camera import Camera
from napari_aeanet.samples.epithelium import (
    EpitheliumSettings,
    EpitheliumSpecimen,
    epithelium_volume,
)
from napari_aeanet.samples.fluorescence import (
    FluorescenceSettings,
    FluorescenceSpecimen,
    fluorescence_volume,
)
from napari_aeanet.samples.label_free import LabelFreeSettings, LabelFreeSpecimen, label_free_volume
from napari_aeanet.samples.sections import SectionSettings, SectionSpecimen, serial_sections
from napari_aeanet.samples.sem import Scan, SemSettings, SemSpecimen, paired_sem

__all__ = [
    "Camera",
    "EpitheliumSettings",
    "EpitheliumSpecimen",
    "FluorescenceSettings",
    "FluorescenceSpecimen",
    "LabelFreeSettings",
    "LabelFreeSpecimen",
    "Scan",
    "SectionSettings",
    "SectionSpecimen",
    "SemSettings",
    "SemSpecimen",
    "epithelium_volume",
    "fluorescence_volume",
    "label_free_volume",
    "open_epithelium",
    "open_fluorescence",
    "open_label_free",
    "open_paired_sem",
    "open_serial_sections",
    "paired_sem",
    "serial_sections",
]

LayerData = tuple[np.ndarray, dict[str, Any], str]


def open_paired_sem() -> list[LayerData]:
    """Open overview and close-up of one specimen at their nominal positions."""
    (specimen,) = paired_sem(1)
    limits = _limits(specimen.target)
    facts = {"matrix": specimen.matrix.tolist()}
    return [_layer(specimen.source, limits, facts), _layer(specimen.target, limits, facts)]


def open_fluorescence() -> list[LayerData]:
    """Open a volume of tissue at three noise levels, the noisiest visible, and the truth."""
    specimen = fluorescence_volume()
    layers = [_layer(specimen.truth, visible=False)]
    for image, exposure in zip(specimen.noisy, specimen.exposures, strict=True):
        noisiest = image is specimen.noisy[-1]
        layers.append(_layer(image, facts={"exposure": exposure}, visible=noisiest))
    return layers


def open_epithelium() -> list[LayerData]:
    """Open a curved epithelium in a noisy volume, with hidden projection and height map."""
    specimen = epithelium_volume()
    return [
        _layer(specimen.volume),
        _layer(specimen.projection, visible=False),
        _layer(specimen.height, visible=False, colormap="viridis"),
    ]


def open_label_free() -> list[LayerData]:
    """Open cells in transmitted light, overlaid with the fluorescence of their nuclei."""
    specimen = label_free_volume()
    return [
        _layer(specimen.transmitted),
        _layer(specimen.fluorescence, colormap="green", blending="additive"),
    ]


def open_serial_sections() -> list[LayerData]:
    """Open serial sections, some of them damaged; the undamaged stack is hidden."""
    specimen = serial_sections()
    limits = (0.0, 255.0)
    facts = {"damaged": specimen.damaged}
    return [
        _layer(specimen.stack, limits, facts),
        _layer(specimen.truth, limits, facts, visible=False),
    ]


def _layer(
    image: Image,
    limits: Sequence[float] | None = None,
    facts: dict[str, Any] | None = None,
    colormap: str = "gray",
    **looks: Any,
) -> LayerData:
    """Return a calibrated image layer; `facts` about the specimen go into its metadata."""
    place = {
        "name": image.name,
        "scale": image.pixel_size,
        "translate": image.origin,
        "units": (image.unit,) * len(image.spatial_axes),
        "axis_labels": tuple(image.axes.lower()),
    }
    looks["colormap"] = colormap
    looks["contrast_limits"] = tuple(limits or _limits(image))
    looks["metadata"] = {"sample": facts or {}}
    return image.array, place | looks, "image"


def _limits(image: Image) -> tuple[float, float]:
    """Return contrast limits that exclude one pixel in a thousand at either end."""
    low, high = np.percentile(image.array[..., ::3, ::3], (0.1, 99.9))
    return float(low), float(high)
