"""Places of the pixels of one image of a pair in the other, by its registration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.result import Registration


@dataclass(frozen=True, eq=False)
class ToSource:
    """Places in the source of pixels of the target."""

    registration: Registration

    @property
    def matrix(self) -> np.ndarray:
        return np.linalg.inv(self.registration.matrix)

    def places(self, rows: range, columns: range) -> np.ndarray:
        """Return the places of rows x columns, shape (n, 2)."""
        y, x = np.meshgrid(rows, columns, indexing="ij")
        deformation = self.registration.deformation
        if deformation is not None:
            shift = deformation.on_grid(
                np.array(rows), np.array(columns), self.registration.target_shape
            )
            y, x = y + shift[0], x + shift[1]
        return transforms.apply(self.matrix, np.column_stack([y.ravel(), x.ravel()]))


@dataclass(frozen=True, eq=False)
class ToTarget:
    """Places in the target of pixels of the source."""

    registration: Registration

    @property
    def matrix(self) -> np.ndarray:
        return self.registration.matrix

    def places(self, rows: range, columns: range) -> np.ndarray:
        """Return the places of rows x columns, shape (n, 2)."""
        y, x = np.meshgrid(rows, columns, indexing="ij")
        at = transforms.apply(self.matrix, np.column_stack([y.ravel(), x.ravel()]))
        deformation = self.registration.deformation
        return at if deformation is None else deformation.undo(at, self.registration.target_shape)
