"""`napari-aeanet presets`: the available networks, and when to use each."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tyro.conf import FlagCreatePairsOff

WIDTH = 96


@dataclass(frozen=True, kw_only=True)
class Presets:
    """List the presets: network, parameters, and when to use each.

    Parameters
    ----------
    all
        Also list the baselines and ablations, which serve for comparison only.
    """

    all: FlagCreatePairsOff[bool] = False

    def run(self) -> int:
        from napari_aeanet.models import ablations, all_presets, baselines, quick_note
        from napari_aeanet.networks import parameter_count

        others = (*baselines(), *ablations()) if self.all else ()
        for preset in (*all_presets(), *others):
            count = parameter_count(preset.config)
            published = "as published" if preset.parameters == count else "no published figure"
            print(f"{preset.name:<20} {preset.title}: {count:,} parameters ({published})")
            for text in (preset.when_to_use, quick_note(preset)):
                print(textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="    "))
        return 0
