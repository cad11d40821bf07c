"""A pair list on disk: a small JSON file that names the images and keeps their registrations.

The images stay where they are, named relative to the list, so that a folder with both can be
moved. Shape and axes are kept to read an image as it was read before (a stack as a volume, a text
band cut off), and to notice when a file has changed since.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Image
from napari_aeanet.io import StackAxis, read_images, read_npz
from napari_aeanet.pairs.pair import ImagePair, PairList, PairProblem

if TYPE_CHECKING:
    from napari_aeanet.registration import Registration

FORMAT = "napari-aeanet pairs"
VERSION = 1

_Read = Callable[[Path, StackAxis | None, str], list[Image]]


def save_pairs(pairs: Iterable[ImagePair], path: str | Path) -> None:
    """Write a pair list. Its images must lie in files; registrations are kept with it, and
    which of them were accepted in spite of doubts.
    """
    path = Path(path)
    pairs = list(pairs)
    homeless = [i.name for p in pairs for i in (p.source, p.target) if i.source is None]
    if homeless:
        msg = f"{path} was not written: save {', '.join(homeless)} as image files first."
        raise ValueError(msg)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "pairs": [
            {
                "name": pair.name,
                "source": _image_entry(pair.source, path.parent),
                "target": _image_entry(pair.target, path.parent),
                "registration": pair.registration.to_dict() if pair.registration else None,
                "accepted": pair.accepted,
            }
            for pair in pairs
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def load_pairs(path: str | Path) -> PairList:
    """Read a pair list; pairs whose images are gone or have changed are its problems."""
    path = Path(path)
    entries = _entries(path)
    read = cache(_read_file)  # page stacks hold many pairs
    pairs: list[ImagePair] = []
    problems: list[PairProblem] = []
    for number, entry in enumerate(entries):
        name = str(entry.get("name", f"pair {number}"))
        try:
            source, target = (
                _image(entry[side], path.parent, side, read) for side in ("source", "target")
            )
            # Lists of earlier versions do not say what was accepted.
            accepted = entry.get("accepted") is True
            pairs.append(ImagePair(source, target, _registration(entry), name, accepted))
        except (KeyError, TypeError) as error:
            problems.append(PairProblem(name, f"{path} lacks {error} for it: save the list again."))
        except (ValueError, OSError) as error:
            problems.append(PairProblem(name, str(error)))
    return PairList(tuple(pairs), (), tuple(problems))


def _entries(path: Path) -> list[Mapping[str, Any]]:
    """The entries of a pair list file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}): check its name and rights."
        raise type(error)(msg) from error
    except ValueError as error:
        content = error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{path} is not a pair list: choose a file that was saved as one."
        raise ValueError(msg)
    if content.get("version") != VERSION:
        msg = (
            f"{path} is a pair list of version {content.get('version')}, this program reads "
            f"version {VERSION}: update the program."
        )
        raise ValueError(msg)
    return [entry for entry in content["pairs"] if isinstance(entry, dict)]


def _image_entry(image: Image, folder: Path) -> dict[str, Any]:
    assert image.source is not None
    file = image.source.resolve()
    try:
        name = Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:  # on another drive
        name = file.as_posix()
    return {
        "file": name,
        "index": image.source_index,
        "axes": image.axes,
        "shape": list(image.shape),
    }


def _image(entry: Mapping[str, Any], folder: Path, side: str, read: _Read) -> Image:
    """The image of an entry, read and cut as it was when the list was saved."""
    file = folder / entry["file"]
    images = read(file, None, side)
    stacked = set(entry["axes"]) - set(images[0].axes)
    if len(stacked) == 1 and stacked <= set(get_args(StackAxis)):
        images = read(file, cast(StackAxis, stacked.pop()), side)
    if entry["index"] >= len(images):
        msg = f"{file} holds {len(images)} images, fewer than when the pair list was saved."
        raise ValueError(msg + " Make the pairs anew.")
    image = images[entry["index"]]
    shape, now = tuple(entry["shape"]), image.shape
    if image.axes == "YX" and shape[1:] == now[1:] and shape[0] < now[0]:
        image = image.with_array(image.array[: shape[0]])  # its text band had been cut off
    if (image.axes, image.shape) != (entry["axes"], shape):
        msg = f"{file} has changed since the pair list was saved (was {shape}, is {now})."
        raise ValueError(msg + " Make the pair anew.")
    return image


def _read_file(file: Path, stack_axis: StackAxis | None, side: str) -> list[Image]:
    if file.suffix.lower() == ".npz":
        sources, targets = read_npz(file)
        return sources if side == "source" else targets
    return read_images(file, stack_axis=stack_axis)


def _registration(entry: Mapping[str, Any]) -> Registration | None:
    if entry.get("registration") is None:
        return None
    from napari_aeanet.registration import Registration

    return Registration.from_dict(entry["registration"])
