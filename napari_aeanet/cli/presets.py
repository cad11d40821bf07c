"""`napari-aeanet presets`: the available networks, and when to use each."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tyro.conf import FlagCreatePairsOff, Positional

WIDTH, INDENT = 96, "    "


@dataclass(frozen=True, kw_only=True)
class Presets:
    """List the presets: network, parameters, and when to use each.

    Parameters
    ----------
    name
        Preset to describe alone; with --json its network, to be changed and given to train
        --network.
    all
        Also describe the baselines and ablations, which serve for comparison only.
    json
        Print a JSON list with an object for each preset.

    Examples
    --------
    napari-aeanet presets
    napari-aeanet presets --all --json
    napari-aeanet presets aeanet-2d --json
    """

    name: Positional[str] = ""
    all: FlagCreatePairsOff[bool] = False
    json: FlagCreatePairsOff[bool] = False

    def run(self) -> int:
        from napari_aeanet.cli.streams import data_out, print_json
        from napari_aeanet.models import ablations, all_presets, baselines, presets, quick_note
        from napari_aeanet.networks import config_to_json, parameter_count

        chosen = [presets.preset(self.name)] if self.name else []
        if chosen and self.json:
            print_json(config_to_json(chosen[0].config))
            return 0
        others = (*baselines(), *ablations())
        facts = []
        for preset in chosen or (*all_presets(), *(others if self.all else ())):
            count = parameter_count(preset.config)
            facts.append(
                {
                    "name": preset.name,
                    "title": preset.title,
                    "parameters": count,
                    "as_published": preset.parameters == count,
                    "when_to_use": preset.when_to_use,
                    "quick_note": quick_note(preset),
                }
            )
        if self.json:
            print_json(facts)
        for fact in [] if self.json else facts:
            published = "as published" if fact["as_published"] else "no published figure"
            head = f"{fact['name']:<20} {fact['title']}: {fact['parameters']:,} parameters"
            print(f"{head} ({published})", file=data_out())
            for text in (str(fact["when_to_use"]), str(fact["quick_note"])):
                lines = textwrap.fill(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
                print(lines, file=data_out())
        if not self.all and not self.json and not chosen:
            print("For comparison only (--all describes them), with their parameters:")
            for preset in others:
                count = parameter_count(preset.config)
                print(f"{preset.name:<20} {count:,}", file=data_out())
        return 0
