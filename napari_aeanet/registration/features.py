"""Initial guesses of the transform between two images: matched features, or phase correlation.

Both images come as float32 planes of about the same pixel size; `refinement.py` takes the guess
to sub-pixel accuracy. Everything here is deterministic for a given seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

import cv2
import numpy as np
from scipy import fft

from napari_aeanet.registration import transforms
from napari_aeanet.registration.preprocessing import reduced
from napari_aeanet.registration.transforms import TransformKind


class RegistrationMethod(StrEnum):
    """Sources of the initial guess; the first five in the order in which they are tried."""

    ORB = "ORB"
    MORE_ORB = "ORB, more features"
    EQUALISED_ORB = "ORB after contrast equalisation"
    SIFT = "SIFT"
    PHASE = "phase correlation"
    LANDMARKS = "landmarks"


#: Blur before feature detection, in pixels: noise has more corners than specimens.
FEATURE_BLUR = 1.5
FEATURES, MORE_FEATURES = 1500, 3000
#: Largest distance of an inlier, in pixels of the planes.
INLIER_DISTANCE = 2.5
#: Most pairs of matches drawn by RANSAC: at 5 % inliers, 10 of them are expected to be right. It
#: stops earlier when it has found the inliers with this confidence.
DRAWS, CONFIDENCE = 4000, 1 - 1e-6
#: Phase correlation: longest side of its planes, and changes tried around the expected scale.
PHASE_SIDE = 320
PHASE_SCALES, PHASE_ROTATIONS = np.linspace(0.84, 1.16, 9), np.linspace(-6, 6, 5)


@dataclass(frozen=True, kw_only=True, eq=False)
class InitialGuess:
    """A transform from source to target plane, and the matches that support it.

    `matches` has the shape (inliers, 2, 2): per match the source point and the target point.
    `inverted` is True if dark and bright are exchanged.
    """

    matrix: np.ndarray
    matches: np.ndarray
    candidates: int
    method: RegistrationMethod
    inverted: bool = False

    def mapped(self, up_source: np.ndarray, up_target: np.ndarray) -> InitialGuess:
        """Return the guess between the planes that the two matrices lead to."""
        source, target = self.matches[:, 0], self.matches[:, 1]
        moved = [transforms.apply(up_source, source), transforms.apply(up_target, target)]
        matrix = up_target @ self.matrix @ np.linalg.inv(up_source)
        return replace(self, matrix=matrix, matches=np.stack(moved, axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Distinctive points (y, x) of a plane with their descriptors.

    Descriptors are float32 rows; the larger the dot product of two, the more alike they are.
    """

    points: np.ndarray
    descriptors: np.ndarray


def detect_features(plane: np.ndarray, method: RegistrationMethod) -> Features:
    """Find the features of a plane."""
    picture = _eight_bit(cv2.GaussianBlur(plane, (0, 0), FEATURE_BLUR))
    if method is RegistrationMethod.EQUALISED_ORB:
        picture = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(picture)
    if method is RegistrationMethod.SIFT:
        detector = cv2.SIFT_create(nfeatures=MORE_FEATURES, contrastThreshold=0.01)
    else:
        count = FEATURES if method is RegistrationMethod.ORB else MORE_FEATURES
        detector = cv2.ORB_create(nfeatures=count, fastThreshold=5)
    keypoints, descriptors = detector.detectAndCompute(picture, None)
    if descriptors is None:
        return Features(points=np.empty((0, 2)), descriptors=np.empty((0, 1), np.float32))
    if method is not RegistrationMethod.SIFT:
        # Bits as -1 and 1: the dot product counts the equal ones.
        descriptors = 2 * np.unpackbits(descriptors, axis=1).astype(np.float32) - 1
    points = np.array([k.pt[::-1] for k in keypoints], dtype=np.float64)
    return Features(points=points, descriptors=descriptors)


def match_features(source: Features, target: Features) -> np.ndarray:
    """Match points that look alike in both planes, shape (n, 2, 2); many matches are wrong.

    Matches are mutual nearest neighbours. In noise this keeps more right matches than comparing
    the best with the second best.
    """
    if not len(source.points) or not len(target.points):
        return np.empty((0, 2, 2))
    alike = source.descriptors @ target.descriptors.T
    nearest = alike.argmax(axis=1)
    mutual = np.flatnonzero(alike.max(axis=1) == alike.max(axis=0)[nearest])
    return np.stack([source.points[mutual], target.points[nearest[mutual]]], axis=1)


def _eight_bit(plane: np.ndarray) -> np.ndarray:
    """Stretch to eight bits between the 0.5 and 99.5 % quantiles (of every fourth row)."""
    low, high = np.quantile(plane[::4], (0.005, 0.995))
    stretched = (plane - low) * (255 / max(high - low, 1e-12))
    return np.clip(stretched, 0, 255).astype(np.uint8)


def consensus(
    matches: np.ndarray,
    *,
    kind: TransformKind,
    scale: float,
    scale_factor: float,
    seed: int,
    method: RegistrationMethod,
) -> InitialGuess | None:
    """Find the transform that most matches agree on (RANSAC); None if there is none.

    OpenCV draws similarities, whatever the kind: two matches determine one, which suits shares of
    inliers of 5 %. Its own draws are fixed; `seed` changes the order of the matches. Scales outside
    [scale / scale_factor, scale * scale_factor] are rejected. The inliers are then fitted by least
    squares.
    """
    if len(matches) < 4:
        return None
    # OpenCV's MAGSAC (USAC) estimates no similarity: as an affine it finds 1 of 10 synthetic SEM
    # pairs with noise of 0.25 and rotations of up to 30 degrees, where this finds 4.
    matches = np.random.default_rng(seed).permutation(matches)
    source, target = (np.ascontiguousarray(matches[:, side, ::-1], np.float32) for side in (0, 1))
    found, inside = cv2.estimateAffinePartial2D(
        source,
        target,
        ransacReprojThreshold=INLIER_DISTANCE,
        maxIters=DRAWS,
        confidence=CONFIDENCE,
        refineIters=0,
    )
    if found is None:
        return None
    change = transforms.scale_of(found) / scale
    if not 1 / scale_factor < change < scale_factor:
        return None
    return _fit_inliers(matches, inside[:, 0].astype(bool), kind, method)


def _fit_inliers(
    matches: np.ndarray, inside: np.ndarray, kind: TransformKind, method: RegistrationMethod
) -> InitialGuess | None:
    """Alternate fits and selections of inliers, first of a similarity, then of `kind`."""
    for step in (TransformKind.SIMILARITY, TransformKind.SIMILARITY, kind, kind):
        if inside.sum() < 4:
            return None
        matrix = transforms.fit(matches[inside, 0], matches[inside, 1], step)
        distance = np.linalg.norm(transforms.apply(matrix, matches[:, 0]) - matches[:, 1], axis=1)
        inside = distance < INLIER_DISTANCE
    if inside.sum() < 4:
        return None
    return InitialGuess(
        matrix=matrix, matches=matches[inside], candidates=len(matches), method=method
    )


def phase_correlation(
    source: np.ndarray, target: np.ndarray, *, scale: float
) -> tuple[InitialGuess, float]:
    """Find the shift, over a few scales and rotations, with the most prominent peak.

    r = F^-1 [F(target) conj(F(turned source)) / |...|] peaks at the shift, upwards or, where the
    contrast is inverted, downwards; the prominence, returned with the guess, is the height of the
    peak over the standard deviation of r. The planes are reduced to 320 pixels and padded so that
    no shift wraps around.
    """
    factor = max(1.0, max(*source.shape, *target.shape) / PHASE_SIDE)
    (moving, up_source), (fixed, up_target) = reduced(source, factor), reduced(target, factor)
    shapes = zip(moving.shape, fixed.shape, strict=True)
    size = [fft.next_fast_len(a + b, real=True) for a, b in shapes]
    band, spectrum = _low_pass(size), fft.rfft2(_windowed(fixed), size)
    moving = _windowed(moving)
    about = transforms.translation(transforms.centre(moving.shape))
    best, sign, prominence = np.eye(3), 1, -np.inf
    for change, rotation in product(PHASE_SCALES, PHASE_ROTATIONS):
        turn = about @ transforms.similarity(scale * change, rotation) @ np.linalg.inv(about)
        turned = cv2.warpAffine(moving, _to_opencv(turn), moving.shape[::-1])
        cross = spectrum * np.conj(fft.rfft2(turned, size))
        surface = fft.irfft2(band * cross / (np.abs(cross) + 1e-9), size)
        at = int(np.argmax(np.abs(surface)))
        height = abs(surface.flat[at]) / (surface.std() + 1e-12)
        if height > prominence:
            prominence, sign = height, np.sign(surface.flat[at])
            peak = np.array(np.unravel_index(at, surface.shape))
            beyond = peak >= np.array(size) - moving.shape  # negative shifts wrap around
            best = transforms.translation(np.where(beyond, peak - size, peak)) @ turn
    guess = InitialGuess(
        matrix=up_target @ best @ np.linalg.inv(up_source),
        matches=np.empty((0, 2, 2)),
        candidates=0,
        method=RegistrationMethod.PHASE,
        inverted=bool(sign < 0),
    )
    return guess, float(prominence)


def _windowed(plane: np.ndarray) -> np.ndarray:
    window = np.outer(np.hanning(plane.shape[0]), np.hanning(plane.shape[1]))
    return ((plane - plane.mean()) * window).astype(np.float32)


def _low_pass(size: Sequence[int]) -> np.ndarray:
    """Return Gaussian weights of the frequencies: noise dominates the high ones."""
    fy, fx = np.meshgrid(fft.fftfreq(size[0]), fft.rfftfreq(size[1]), indexing="ij")
    return np.exp(-((fy**2 + fx**2) / (2 * 0.12**2)))


def _to_opencv(matrix: np.ndarray) -> np.ndarray:
    """Return a (y, x) matrix as the 2x3 (x, y) matrix of OpenCV."""
    return matrix[[1, 0, 2]][:, [1, 0, 2]][:2]
