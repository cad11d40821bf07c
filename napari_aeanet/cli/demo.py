"""`napari-aeanet demo`: registration, training and restoration of synthetic specimens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, arg

if TYPE_CHECKING:
    from napari_aeanet.evaluation import Specimen
    from napari_aeanet.models import Model
    from napari_aeanet.pairs import ImagePair

# The last specimens are kept out of the training, for the figures and the gain.
HELD_OUT = 2
SMALLEST_SIDE = 128  # in pixels
# Rim in pixels that comparisons leave out: the registered overlap may end there.
BORDER = 24


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Register, train, restore and compute relevance maps, on synthetic SEM specimens.

    Write OUTPUT/report.png, restored OME-TIFFs, relevance maps, the pairs and the model.

    Parameters
    ----------
    output
        Folder for the results.
    minutes
        Time for the training.
    specimens
        Number of specimens; the last two are kept out of the training, for the figures.
    height
        Height of the specimens in pixels.
    width
        Width of the specimens in pixels.
    seed
        Random seed; the same seed gives the same specimens.
    contexts
        Also compare contexts of several sizes, in OUTPUT/context-sizes.png; some minutes more.
    no_window
        Do not open napari with the result at the end.

    Examples
    --------
    napari-aeanet demo --minutes 5 --no-window
    """

    output: Annotated[Path, arg(aliases=["-o"])] = Path("demo-output")
    minutes: float = 1.5
    specimens: int = 6
    height: int = 944
    width: int = 1280
    seed: int = 0
    contexts: FlagCreatePairsOff[bool] = False
    no_window: FlagCreatePairsOff[bool] = False

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes must be more than 0, got {self.minutes:g}.")
        least = {"specimens": HELD_OUT + 1, "height": SMALLEST_SIDE, "width": SMALLEST_SIDE}
        for name, smallest in least.items():
            if (value := getattr(self, name)) < smallest:
                raise ValueError(f"{name} must be at least {smallest}, got {value}.")

    def run(self) -> int:
        from napari_aeanet.evaluation import save_specimens

        self.output.mkdir(parents=True, exist_ok=True)
        pairs = self._register()
        model = self._train(pairs[:-HELD_OUT])
        shown = [self._restore(pair, model) for pair in pairs[-HELD_OUT:]]
        report = self.output / "report.png"
        gains = [s.restored_psnr - s.source_psnr for s in shown]
        mean = sum(gains) / len(gains)
        title = (
            f"napari-aeanet, {self.minutes:g} min of training on {len(pairs) - HELD_OUT} synthetic "
            f"pairs: {mean:+.1f} dB on held-out specimens"
        )
        save_specimens(shown, title, report)
        each = ", ".join(f"{s.name} {gain:+.2f} dB" for s, gain in zip(shown, gains, strict=True))
        print(f"better than the input by {mean:+.2f} dB on held-out specimens ({each})")
        print(f"figure: {report}")
        if self.contexts:
            print(f"figure: {self._compare_contexts(pairs[-1], model)}")
        self._open_napari()
        return 0

    def _register(self) -> list[ImagePair]:
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.cli.samples import write_specimens
        from napari_aeanet.pairs import pairs_from_folders, register_all_events, save_pairs

        folder = self.output / "specimens"
        write_specimens(folder, self.specimens, self.seed, (self.height, self.width))
        pairs = list(pairs_from_folders(folder / "lr", folder / "hr"))
        for event in shown(register_all_events(pairs), "pair"):
            pairs[event.index] = event.pair
            print(f"{event.pair.name}: {event.registration.sentence()}")
        save_pairs(pairs, self.output / "pairs.json")
        return pairs

    def _train(self, pairs: Sequence[ImagePair]) -> Model:
        from napari_aeanet.cli.train import follow
        from napari_aeanet.models import load_model
        from napari_aeanet.training import TrainSettings, train_events

        settings = TrainSettings(minutes=self.minutes, seed=self.seed)
        finished = follow(train_events(pairs, settings, self.output / "run"))
        return load_model(finished.bundle)

    def _restore(self, pair: ImagePair, model: Model) -> Specimen:
        """Restore the registered input, write result and relevance maps, compare with the truth."""
        from napari_aeanet.cli.progress import result
        from napari_aeanet.core.metrics import affine_matched, psnr
        from napari_aeanet.evaluation import Specimen
        from napari_aeanet.io import write_image
        from napari_aeanet.relevance import RelevanceMaps, relevance_events
        from napari_aeanet.restoration import Restored, restore_events

        source = pair.on_target_grid()
        restored = result(restore_events(source, model), "step", Restored)
        maps = result(relevance_events(source, model), "tile", RelevanceMaps)
        write_image(restored.image, self.output / f"{pair.name}-restored.ome.tif")
        write_image(maps.as_image(), self.output / f"{pair.name}-relevance.ome.tif")
        inside = (slice(BORDER, -BORDER),) * 2
        truth = pair.target.read()[inside].astype(float)
        images = [image.read()[inside].astype(float) for image in (source, restored.image)]
        before, after = (psnr(truth, affine_matched(image, truth), 255.0) for image in images)
        busiest = int(maps.maps.std(axis=(1, 2)).argmax())
        return Specimen(
            name=pair.name,
            source=source.read(),
            restored=restored.image.read(),
            truth=pair.target.read(),
            heat=maps.maps[busiest],
            heat_pixel=busiest,
            source_psnr=before,
            restored_psnr=after,
        )

    def _compare_contexts(self, pair: ImagePair, model: Model) -> Path:
        """Draw the gain by size of the context on a held-out specimen."""
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.evaluation import gains_by_size, save_sizes

        path = self.output / "context-sizes.png"
        found = list(shown(gains_by_size(pair, model, BORDER), "size"))
        save_sizes(found, f"Context of the attention, {pair.name} (held out)", path)
        for one in found:
            size = f"{one.size} px" if one.size else "whole image"
            print(f"context {size}: patches {one.patches:+.2f} dB, exact {one.exact:+.2f} dB")
        return path

    def _open_napari(self) -> None:
        """Open the results in a process of its own: the command line does not need Qt."""
        has_display = sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY")
        if self.no_window or not has_display:
            return
        files = sorted(map(str, self.output.glob("*.ome.tif")))
        subprocess.Popen([sys.executable, "-m", "napari_aeanet.gui.show", *files])
