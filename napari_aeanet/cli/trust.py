"""`napari-aeanet trust`: maps of the trustworthiness of a restored image."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.batch import BatchSettings
from napari_aeanet.cluster.settings import ClusterSettings
from napari_aeanet.trust import TrustSettings

if TYPE_CHECKING:
    from napari_aeanet.batch import Work
    from napari_aeanet.core.image import Image
    from napari_aeanet.models import Model

ENDING = "-trust.ome.tif"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Estimate how far restored images can be trusted, and write maps of it.

    The stack holds, along C: the traffic light (0 green, 1 amber, 2 red), the doubt behind it, and
    the available maps, each channel with its name: the model's sigma, half-widths of the intervals
    that hold 68 % and 90 % of the errors, disagreement, distance from the training data, and
    contradiction of the input.

    Parameters
    ----------
    inputs
        Image files, folders, globs, lists of files (.txt), or job files (.csv).
    model
        Model file (.aeanet).
    output
        Folder for NAME-trust.ome.tif; default: beside each input.
    dry_run
        Print the results, sizes, time and memory that are to be expected, and do nothing.
    settings
        How to estimate it.
    batch
        Which images, and what to do with results that exist.
    cluster
        Workers of dask, which compute the maps of one image after the other.

    Examples
    --------
    napari-aeanet trust S05.tif -m sem.aeanet
    """

    inputs: Positional[tuple[Path, ...]]
    model: Annotated[Path, arg(aliases=["-m"])]
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    dry_run: FlagCreatePairsOff[bool] = False
    settings: Annotated[TrustSettings, arg(name="")] = field(default_factory=TrustSettings)
    batch: Annotated[BatchSettings, arg(name="")] = field(default_factory=BatchSettings)
    cluster: Annotated[ClusterSettings, arg(name="")] = field(default_factory=ClusterSettings)

    def run(self) -> int:
        from napari_aeanet.batch import run_batch
        from napari_aeanet.cli.batch import analysis, follow, planned, print_plan
        from napari_aeanet.cli.progress import print_note
        from napari_aeanet.models import load_model
        from napari_aeanet.restoration import dry_run_events, prepare_analysis
        from napari_aeanet.trust import DISCLAIMER

        plan = planned(self.inputs, self.output, ENDING, self.batch)
        model = load_model(self.model)
        summaries: dict[Path, str] = {}

        def work(image: Image, outputs: tuple[Path, ...], settings: TrustSettings) -> Work:
            return _work(image, outputs[0], model, settings, summaries, self.cluster)

        treatment = analysis("trust", "estimating trust", plan, model, self.settings, work)
        if self.dry_run:
            return print_plan(
                dry_run_events(
                    plan,
                    treatment,
                    self.batch,
                    lambda image: prepare_analysis(
                        image, model, self.settings, symmetries=self.settings.symmetries
                    ),
                )
            )

        def line(path: Path) -> str:
            return f"{path}: {summaries[path]}" if path in summaries else str(path)

        code = follow(run_batch(plan, treatment, self.batch), plan, line=line)
        print_note(DISCLAIMER)
        return code


def _work(
    image: Image,
    output: Path,
    model: Model,
    settings: TrustSettings,
    summaries: dict[Path, str],
    cluster: ClusterSettings,
) -> Work:
    """Check that the image suits the model, and return the generator that writes its maps."""
    from napari_aeanet.cli.progress import on_workers
    from napari_aeanet.io import write_image
    from napari_aeanet.trust import TrustMaps, trust_events

    events = on_workers(partial(trust_events, image, model, settings), cluster)

    def written() -> Work:
        for event in events:
            yield event
        assert isinstance(event, TrustMaps)
        write_image(event.as_image(), output)
        summaries[output] = event.summary
        return event.notices

    return written()
