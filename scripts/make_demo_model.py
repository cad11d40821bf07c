"""Train the model that ships with the package on synthetic SEM specimens.

    python scripts/make_demo_model.py [RUN_FOLDER]
    python scripts/make_demo_model.py --structures

Writes napari_aeanet/resources/demo-sem.aeanet in half precision (about 1.3 MB) and says how much
better than the input it is on specimens that it has not seen. The samples in napari and the demo
use other seeds, so they are new to the model too. `--structures` fits only the kinds of structure
anew, which leaves the restoration as it is.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_aeanet.cli.train import follow
from napari_aeanet.core.metrics import gain
from napari_aeanet.core.progress import result_of
from napari_aeanet.models.model_file import Model, load_model, save_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import Restored
from napari_aeanet.samples import paired_sem
from napari_aeanet.structures import fit_structures
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import TrainSettings

TARGET = Path(__file__).parents[1] / "napari_aeanet" / "resources" / "demo-sem.aeanet"
SEED = 1000  # the samples have 0
TRAINED_ON, HELD_OUT = 6, 2
SETTINGS = TrainSettings(steps=5000, patch=96, batch=4, seed=0, uncertainty=True)
BORDER = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="run folder")
    parser.add_argument("--structures", action="store_true", help="fit only structures")
    args = parser.parse_args()
    if args.structures:
        fit_only_structures()
        return
    with tempfile.TemporaryDirectory() as temporary:
        train(args.folder or Path(temporary) / "run")


def pairs_of(count: int) -> list[ImagePair]:
    """Return registered pairs of synthetic specimens."""
    return [
        ImagePair(s.source, s.target, register(s.source, s.target), s.source.name)
        for s in paired_sem(count, SEED)
    ]


def fit_only_structures() -> None:
    fitted = fit_structures(TARGET, pairs_of(TRAINED_ON))
    save_model(fitted.model, TARGET)
    size, kinds = TARGET.stat().st_size / 1e6, len(fitted.names)
    print(f"{TARGET.name}: {size:.2f} MB, {kinds} kinds; {fitted.agreement:.3f} of the places that")
    print("were kept out have the kind of the target")


def train(folder: Path) -> None:
    pairs = pairs_of(TRAINED_ON + HELD_OUT)
    finished = follow(train_events(pairs[:TRAINED_ON], SETTINGS, folder))
    trained = load_model(finished.bundle)
    card = replace(trained.card, name="SEM particles (demo)", note="for the samples only")
    TARGET.parent.mkdir(exist_ok=True)
    save_model(replace(trained, card=card), TARGET, half=True)
    model = load_model(TARGET)
    gains = [gain_of(pair, model) for pair in pairs[TRAINED_ON:]]
    print(f"{TARGET.name}: {TARGET.stat().st_size / 1e6:.2f} MB, held-out specimens:")
    for pair, (psnr, ssim) in zip(pairs[TRAINED_ON:], gains, strict=True):
        print(f"  {pair.name}: {psnr:+.2f} dB, SSIM {ssim:+.3f}")


def gain_of(pair: ImagePair, model: Model) -> tuple[float, float]:
    """Return the gain over the registered input in PSNR and SSIM, both matched to the truth."""
    source = pair.on_target_grid()
    restored = result_of(Restored, restore_events(source, model)).image
    inside = (slice(BORDER, -BORDER),) * 2
    images = [image.read()[inside].astype(np.float64) for image in (source, restored, pair.target)]
    better = gain(*images, 255.0)
    return better.psnr, better.ssim


if __name__ == "__main__":
    main()
