"""A registration with known values, and where it leads."""

import numpy as np

from napari_aeanet.registration import (
    Deformation,
    Registration,
    Verdict,
    largest_strain,
    transforms,
)


def registration(*, deformed=True):
    grid = np.random.default_rng(3).normal(size=(7, 9, 2))
    grid *= 0.2 / largest_strain(grid)
    deformation = Deformation(coefficients=grid, before=1.4, after=0.2)
    return Registration(
        matrix=transforms.translation((3.25, -7.5)) @ transforms.similarity(2.1, 3.0),
        kind=transforms.TransformKind.SIMILARITY,
        source_shape=(60, 80),
        target_shape=(120, 160),
        verdict=Verdict.GOOD,
        reason="made for a test",
        deformation=deformation if deformed else None,
    )


def places_in_source(found, points):
    moved = np.asarray(points, dtype=np.float64)
    if found.deformation is not None:
        moved = moved + found.deformation.at(moved, found.target_shape)
    return transforms.apply(np.linalg.inv(found.matrix), moved)
