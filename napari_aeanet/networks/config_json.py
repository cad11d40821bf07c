"""Configurations of networks as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from napari_aeanet.core.schema import from_plain, parse_json, to_plain
from napari_aeanet.networks.config import NetworkConfig, ProjectionConfig
from napari_aeanet.networks.config_care import CareConfig
from napari_aeanet.networks.config_superres import SuperResConfig
from napari_aeanet.networks.config_unet import UNetConfig

_KINDS: dict[str, type[Any]] = {
    cls.kind: cls for cls in (UNetConfig, ProjectionConfig, SuperResConfig, CareConfig)
}


def config_to_json(config: NetworkConfig) -> dict[str, Any]:
    """Return the configuration as plain values for JSON, with its `kind`."""
    return {"kind": config.kind} | to_plain(config)


def config_from_json(values: Mapping[str, Any]) -> NetworkConfig:
    """Return the configuration that `config_to_json` wrote.

    Unlike other files, a configuration with unknown settings is refused: it describes a network
    that this program cannot build.

    Raises
    ------
    ValueError
        If the kind or a setting is unknown, or a setting is out of range.
    """
    kind = values.get("kind")
    if kind not in _KINDS:
        msg = f"Unknown kind of network {str(kind)[:20]!r}; known are {', '.join(sorted(_KINDS))}."
        raise ValueError(msg)
    settings = {name: value for name, value in values.items() if name != "kind"}
    _refuse_unknown(settings, _KINDS[kind])
    if isinstance(image := settings.get("image"), Mapping):
        _refuse_unknown(image, UNetConfig)
    return from_plain(_KINDS[kind], settings, f"Settings of a {kind} network")


def read_config(path: str | Path) -> NetworkConfig:
    """Return the configuration in a JSON file, as `napari-aeanet presets NAME --json` prints it.

    Raises
    ------
    ValueError
        If the file describes no network; the message names the file and the wrong setting.
    """
    path = Path(path)
    values = parse_json(path.read_bytes(), f"{path}")
    if not isinstance(values, Mapping):
        msg = f"{path} describes no network: print one with `napari-aeanet presets NAME --json`."
        raise ValueError(msg)
    try:
        return config_from_json(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _refuse_unknown(settings: Mapping[str, Any], cls: type[Any]) -> None:
    unknown = sorted(set(settings) - {f.name for f in fields(cls)})
    if unknown:
        msg = (
            f"Unknown settings of a {cls.kind} network: {', '.join(unknown)[:100]}. "
            "It may have been written by a newer version."
        )
        raise ValueError(msg)
