"""Make the pictures of the README and of structures with the built-in model.

    python docs/overview.py [--to docs/images]

overview.png: input, restored image, high-resolution image, and a relevance map, of one place.
structures.png: kinds of structure in a part of the sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import PIL.Image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_aeanet.core.figures import write_figure
from napari_aeanet.core.metrics import affine_matched, psnr
from napari_aeanet.models import demo_model
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import register
from napari_aeanet.relevance import group_maps, relevance_maps
from napari_aeanet.restoration import crop_image, restore
from napari_aeanet.samples import paired_sem
from napari_aeanet.structures import save_structures, structure_maps

IMAGES = Path(__file__).parent / "images"
SEED = 7  # the model has learnt from others
SAMPLE_SEED, SAMPLE_PART = 0, (slice(460, 820), slice(560, 1040))  # particles, and their host
EDGE = 240  # of the place that is shown, in pixels of the high resolution
BORDER = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=IMAGES)
    folder = parser.parse_args().to
    save_overview(folder / "overview.png")
    save_kinds(folder / "structures.png")


def save_overview(path: Path) -> None:
    """Draw four panels of one place, with equal grey levels."""
    (specimen,) = paired_sem(1, SEED)
    registration = register(specimen.source, specimen.target)
    pair = ImagePair(specimen.source, specimen.target, registration)
    source, model = pair.on_target_grid(), demo_model()
    inside = (slice(BORDER, -BORDER),) * 2
    truth = pair.target.read().astype(float)[inside]
    images = [image.read().astype(float)[inside] for image in (source, restore(source, model))]
    images = [affine_matched(image, truth) for image in images]
    before, after = (psnr(truth, image, 255.0) for image in images)
    found = relevance_maps(source, model)
    number = group_maps(found.maps)[1].leader
    heat = found.maps[number] - found.maps[number].mean()
    place = busiest_place(truth)
    low, high = np.percentile(truth[place], [0.5, 99.5])
    figure = Figure(figsize=(9.6, 2.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    texts = (
        f"overview scan, {before:.1f} dB",
        f"restored, {after:.1f} dB",
        "slow scan of the same place",
        f"relevance of abstract pixel {number + 1}",
    )
    panels = (*images, truth, images[1])
    for axis, image, text in zip(figure.subplots(1, 4), panels, texts, strict=True):
        axis.imshow(image, cmap="gray", vmin=low, vmax=high)
        axis.set_title(text, fontsize=8)
        axis.set_xlim(place[1].start, place[1].stop)
        axis.set_ylim(place[0].stop, place[0].start)
        axis.set_axis_off()
    # The centre of the first map pixel and the pixels between two, in pixels of the panels.
    sizes = np.array(source.pixel_size, float)
    first = (np.array(found.translate) - source.origin) / sizes - BORDER
    step = np.array(found.scale) / sizes
    top, left = first - step / 2
    bottom, right = first + step * (np.array(heat.shape) - 0.5)
    limit = float(np.percentile(np.abs(heat), 99))
    axis.imshow(
        heat, cmap="coolwarm", vmin=-limit, vmax=limit, alpha=0.5, extent=(left, right, bottom, top)
    )
    axis.set_xlim(place[1].start, place[1].stop)
    axis.set_ylim(place[0].stop, place[0].start)
    write_figure(figure, path)


def save_kinds(path: Path) -> None:
    """Draw the kinds of structure in a part of the sample, and their legend."""
    (specimen,) = paired_sem(1, SAMPLE_SEED)
    part = crop_image(specimen.source, SAMPLE_PART)
    save_structures(structure_maps(part, demo_model()), path)
    drawn = PIL.Image.open(path).convert("RGB")
    drawn.resize([n // 2 for n in drawn.size]).quantize(256, kmeans=1).save(path, optimize=True)


def busiest_place(image: np.ndarray) -> tuple[slice, slice]:
    """Return the square with the highest contrast."""
    starts = [range(0, n - EDGE + 1, EDGE // 2) for n in image.shape]
    squares = [(slice(y, y + EDGE), slice(x, x + EDGE)) for y in starts[0] for x in starts[1]]
    return max(squares, key=lambda square: float(image[square].std()))


if __name__ == "__main__":
    main()
