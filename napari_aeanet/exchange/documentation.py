"""Write the page that goes with an exported model."""

from __future__ import annotations

from napari_aeanet.core.intensity import NormalisationKind
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import Network


def blockwise_loss(network: Network) -> str:
    """Return what prediction block by block loses, in a sentence or two."""
    if network.config.has_attention:
        return (
            "Predict the image as a whole: attention gathers the context of the whole image, and a "
            "block by itself has only its own, so that blocks are less accurate and may show seams."
        )
    if network.untileable_reason:
        return (
            "Predict the image as a whole: its channels are weighed by their mean over the image, "
            "so that blocks differ in brightness and may show seams."
        )
    halo = max(network.halo(network.contexts))
    return (
        f"Prediction block by block loses nothing if blocks overlap by {halo} pixels on each side "
        "that are cut off; without an overlap there are seams."
    )


def documentation(card: ModelCard, network: Network) -> str:
    """Return the documentation of a model, as Markdown."""
    axes = ", ".join(network.input_axes)
    grid = " x ".join(map(str, network.grid))
    lines = [f"# {card.name}", "", f"A model of the kind {card.preset} for axes {axes}."]
    lines += [card.note] if card.note else []
    lines += ["", "## Use", "", blockwise_loss(network), ""]
    lines.append(
        f"Every axis must be a multiple of the grid of {grid} pixels. Reflect the image about its "
        "outermost pixels to reach it, half before and half after, and cut the result."
    )
    sizes = [f"{size:g}" for size in card.pixel_size if size is not None]
    if card.unit and len(sizes) == len(card.pixel_size):
        lines.append(f"The model expects pixels of {' x '.join(sizes)} {card.unit}.")
    if any(ratio != 1 for ratio in card.ratio):
        factors = " x ".join(f"{ratio:g}" for ratio in card.ratio)
        lines.append(
            f"It was trained on images enlarged by {factors} (bicubic) to the pixels of their "
            "targets: enlarge an image in this way before."
        )
    lines += ["", "## Intensities", "", _about_intensities(card), "", "## Outputs", ""]
    lines.append("- prediction: the restored image")
    if "sigma" in network.extras:
        lines.append("- sigma: the expected error of each pixel")
    if "height" in network.extras:
        lines.append("- height: the plane of the surface at each pixel, counted from 0")
    lines += ["", "## Validation", "", _about_validation(card), "", "## Source", ""]
    lines.append(
        "architecture.py needs PyTorch alone. The file napari_aeanet.json holds the description "
        "of the model for napari-aeanet, which reads this package with `napari-aeanet "
        "import-bioimageio`, to restore images of any size exactly or to train it further."
    )
    return "\n".join(lines) + "\n"


def _about_intensities(card: ModelCard) -> str:
    rule = card.normalisation
    if rule.kind == NormalisationKind.NONE:
        return (
            "Intensities are taken as they are, and results are in the same scale: bring images to "
            "the scale of the training before."
        )
    if rule.kind == NormalisationKind.FULL_SCALE:
        span = card.trained_range
        return (
            f"Intensities from {span.low:g} to {span.high:g} are the full range of the model, and "
            "results are in the same range: bring images of another range to it before."
        )
    if rule.kind == NormalisationKind.PERCENTILE:
        return (
            f"Every image is scaled by its own percentiles ({rule.low:g} and {rule.high:g} become "
            "0 and 1), and results stay in this scale. Percentiles of a block are not those of the "
            "image."
        )
    return (
        "Every image is scaled to mean 0 and standard deviation 1, and results stay in this scale. "
        "Those of a block are not those of the image."
    )


def _about_validation(card: ModelCard) -> str:
    figures = [f"{name.upper()} {value:+.3g}" for name, value in card.gain.items()]
    known = f"On images kept out of the training it improved {', '.join(figures)}. "
    return (
        f"{known if figures else ''}Compare results with images that were recorded well and kept "
        "out of the training, by PSNR and SSIM, before relying on them."
    )
