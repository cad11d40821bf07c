"""Interpolate a section by optical flow: both neighbours warped to the middle and blended.

The flow u from the section before to the section after, and v back, are found by dense inverse
search (DIS, OpenCV). At the position t between them (0: before, 1: after) the section is

    (1 - t) · before(q) + t · after(r)   with q + t·u(q) = p and r + (1 - t)·v(r) = p:

what is at p came from q in the one neighbour and from r in the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from napari_aeanet.interpolation.intensity import matched_intensities
from napari_aeanet.interpolation.neighbours import Neighbours

#: Percentiles that are mapped to 0 and 255 for the flow, which is found on 8 bits.
PERCENTILES = (0.5, 99.5)
#: Standard deviation, in pixels, of the blur before the flow is found: noise has no flow.
BLUR = 1.0
#: Side and distance of the patches compared, in pixels. Large, as the fine structure differs.
PATCH, STRIDE = 16, 4
#: Steps to find where a pixel came from.
INVERSIONS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class WarpedNeighbours:
    """Both neighbours on the grid between them.

    Attributes
    ----------
    before, after
        Moved by the flow to the position of the missing section.
    aligned_before, aligned_after
        Shifted and turned only.
    weight
        Share of `after` in the blend, one a pixel: the position between both, 0 or 1 where one of
        them has no pixels.
    """

    before: np.ndarray
    after: np.ndarray
    aligned_before: np.ndarray
    aligned_after: np.ndarray
    weight: np.ndarray

    def blended(self) -> np.ndarray:
        """Return (1 - weight)·before + weight·after."""
        return self.before + self.weight * (self.after - self.before)

    def mean(self) -> np.ndarray:
        """Return the blend of the neighbours without flow, the simplest interpolation."""
        return self.aligned_before + self.weight * (self.aligned_after - self.aligned_before)


def warp_neighbours(neighbours: Neighbours) -> WarpedNeighbours:
    """Match the intensities of two neighbours and move both to the position between them."""
    at = neighbours.at
    before, after = matched_intensities(neighbours.before, neighbours.after, at)
    sections = replace(neighbours, before=before, after=after)
    aligned = sections.warped()
    there, back = _flow(*aligned), _flow(*aligned[::-1])
    origins = _origin(at * there), _origin((1 - at) * back)
    moved = sections.warped(*origins)
    has_before, has_after = sections.covered(*origins)
    weight = np.full(sections.shape, at, np.float32)
    weight[has_after & ~has_before] = 1
    weight[has_before & ~has_after] = 0
    return WarpedNeighbours(
        before=moved[0],
        after=moved[1],
        aligned_before=aligned[0],
        aligned_after=aligned[1],
        weight=weight,
    )


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow (y, x, 2) in the order x, y: first(p) resembles second(p + flow(p))."""
    low, high = np.percentile(np.stack([first[::4, ::4], second[::4, ::4]]), PERCENTILES)
    pair = [_eight_bits(one, low, high) for one in (first, second)]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setPatchSize(PATCH)
    search.setPatchStride(STRIDE)
    return search.calc(pair[0], pair[1], None)


def _origin(flow: np.ndarray) -> np.ndarray:
    """Return d with d(p) = -flow(p + d(p)): the way back to where a pixel came from."""
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    back = -flow
    for _ in range(INVERSIONS):
        places = x + back[..., 0], y + back[..., 1]
        back = -cv2.remap(flow, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return back


def _eight_bits(values: np.ndarray, low: float, high: float) -> np.ndarray:
    smooth = cv2.GaussianBlur(values, (0, 0), BLUR)
    scaled = (smooth - low) * (255 / (high - low) if high > low else 0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
