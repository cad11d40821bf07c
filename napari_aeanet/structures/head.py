"""Probabilities of kinds of structure from features.

    P_j(x) = softmax_j  τ · cos(W a(x), W f_j)

with the standardised features a(x) of a place, the kinds f_j in the same space, and a projection W
to few dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from napari_aeanet.models import Model
from napari_aeanet.structures.filters import DESCRIPTORS, INPUT_FILTERS
from napari_aeanet.structures.naming import names_of

# Names of the arrays in a model file begin with this.
PREFIX = "structures_"
# Smallest length of a projected vector, which is divided by.
SHORTEST = 1e-6


@dataclass(frozen=True, eq=False)
class FittedStructures:
    """Kinds of structure that were fitted to a model.

    Parameters
    ----------
    mean, scale
        Moments of the features, which are standardised with them: (features,).
    projection
        W: (dimensions, features).
    kinds
        Standardised features f_j of every kind: (kinds, features).
    sharpness
        τ: (1,).
    centres
        Mean descriptors of every kind in the targets: (kinds, descriptors).
    descriptor_mean, descriptor_scale
        Moments of the descriptors over the training set: (descriptors,).
    share
        Share of every kind in the training set: (kinds,).
    """

    mean: np.ndarray
    scale: np.ndarray
    projection: np.ndarray
    kinds: np.ndarray
    sharpness: np.ndarray
    centres: np.ndarray
    descriptor_mean: np.ndarray
    descriptor_scale: np.ndarray
    share: np.ndarray

    def __len__(self) -> int:
        return len(self.kinds)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of every kind: (kinds, y, x) of features (features, y, x)."""
        dtype, shape = features.dtype, features.shape[1:]
        # W (a - mean) / scale, with one matrix product over the features as they are.
        matrix = (self.projection / self.scale).astype(dtype)
        shift = (self.projection @ (self.mean / self.scale)).astype(dtype)
        projected = matrix @ features.reshape(len(features), -1) - shift[:, None]
        projected /= np.maximum(np.linalg.norm(projected, axis=0), SHORTEST)
        kinds = self.kinds @ self.projection.T
        kinds = kinds / np.maximum(np.linalg.norm(kinds, axis=1, keepdims=True), SHORTEST)
        scores = (self.sharpness * kinds).astype(dtype) @ projected
        scores -= scores.max(axis=0)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=0)
        return scores.reshape(len(kinds), *shape)

    def labels_of(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the kind (from 0) with the nearest centre, of descriptors (descriptors, y, x)."""
        flat = descriptors.reshape(len(descriptors), -1).T
        centres = (self.centres - self.descriptor_mean) / self.descriptor_scale
        rows = (flat - self.descriptor_mean) / self.descriptor_scale
        return nearest(rows, centres).reshape(descriptors.shape[1:])

    def names(self, given: Mapping[str, str]) -> tuple[str, ...]:
        """Return the name of every kind: the user's, by number, or one from its descriptors."""
        found = names_of((self.centres - self.descriptor_mean) / self.descriptor_scale)
        return tuple(given.get(str(number), name) for number, name in enumerate(found))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to be stored in a model file."""
        return {PREFIX + one.name: getattr(self, one.name) for one in fields(self)}


def nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the number of the nearest centre of every row."""
    return np.argmin(np.square(centres).sum(axis=1) - 2 * rows @ centres.T, axis=1)


def structures_of(model: Model, channels: int | None = None) -> FittedStructures | None:
    """Return the structures in a model, or None if it has none.

    Parameters
    ----------
    channels
        Number of the network's features that they must fit.

    Raises
    ------
    ValueError
        If they do not fit together or to the network, or hold no finite numbers.
    """
    held = {name: array for name, array in model.statistics.items() if name.startswith(PREFIX)}
    if not held:
        return None
    expected = {PREFIX + one.name for one in fields(FittedStructures)}
    if expected <= set(held) and _fit(held, channels):
        return FittedStructures(
            **{one.name: held[PREFIX + one.name] for one in fields(FittedStructures)}
        )
    where = model.path.name if model.path else model.card.name
    raise ValueError(f"{where}: its structures do not fit its network. Fit them again.")


def _fit(held: Mapping[str, np.ndarray], channels: int | None) -> bool:
    """Return True if the arrays fit together and to the network."""
    kinds, features = (*held[PREFIX + "kinds"].shape, 0)[:2]
    wanted = features if channels is None else channels + INPUT_FILTERS
    dimensions = (*held[PREFIX + "projection"].shape, 0)[0]
    shapes = {
        "mean": (wanted,),
        "scale": (wanted,),
        "projection": (dimensions, wanted),
        "kinds": (kinds, wanted),
        "sharpness": (1,),
        "centres": (kinds, DESCRIPTORS),
        "descriptor_mean": (DESCRIPTORS,),
        "descriptor_scale": (DESCRIPTORS,),
        "share": (kinds,),
    }
    arrays = {name: held[PREFIX + name] for name in shapes}
    positive = all((arrays[name] > 0).all() for name in ("scale", "descriptor_scale"))
    return (
        kinds > 0
        and all(arrays[name].shape == shape for name, shape in shapes.items())
        and all(a.dtype.kind == "f" and np.isfinite(a).all() for a in arrays.values())
        and positive
    )
