"""Sparse weights of patches that compose another one (SRSW)."""

from __future__ import annotations

import numpy as np

SWEEPS = 20
SMALLEST = 1e-12
# Patches at once, whose products fit into the cache.
AT_ONCE = 512


def sparse_weights(patches: np.ndarray, nearest: np.ndarray, penalty: float) -> np.ndarray:
    """Return the weights wᵢ ≥ 0 of the library patches xᵢ that compose each patch x:

        min ½ |x - Σᵢ wᵢ xᵢ|² + penalty · Σᵢ wᵢ |xᵢ|,

    after Trinh et al. (2014), by coordinate descent. A library patch of zeros gets no weight.

    Parameters
    ----------
    patches
        Patches: (rows, components).
    nearest
        Library patches of each: (rows, neighbours, components).
    """
    lengths = np.maximum(np.linalg.norm(nearest, axis=2), SMALLEST)
    weights = np.empty_like(lengths)
    for start in range(0, len(patches), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        atoms = nearest[part] / lengths[part, :, None]
        # Rows last, so that a coordinate of all of them is contiguous.
        gram = np.ascontiguousarray((atoms @ atoms.transpose(0, 2, 1)).transpose(1, 2, 0))
        # The negative gradient of the first term, kept up to date as weights change.
        residual = np.ascontiguousarray((atoms @ patches[part, :, None])[..., 0].T)
        found = np.zeros_like(residual)
        for _ in range(SWEEPS):
            for i, own in enumerate(found):
                changed = np.maximum(0, own + residual[i] - penalty)
                residual -= gram[i] * (changed - own)
                own[:] = changed
        weights[part] = found.T
    return weights / lengths
