"""The table of file formats in docs/formats.md, found out by writing and reading files.

Run as a program, it writes the table into the page: python tests/format_table.py
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import imagecodecs
import numpy as np

from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Channel, Image
from napari_aeanet.io import read_image, read_images, write_image

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"

WRITTEN = (".ome.tif", ".tif", ".ome.zarr", ".png")
TYPES = [
    "bool",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
]
PIXELS = np.random.default_rng(0).integers(0, 200, (2, 2, 3, 16, 20))
SERIES = Image(
    PIXELS.astype(np.uint16),
    "TCZYX",
    (3.0, 2.0, 1.0),
    "nm",
    (100.0, 50.0, 25.0),
    channels=(Channel(name="DAPI", colour=(0, 0, 255)), Channel(name="GFP", colour=(0, 255, 0))),
    time_interval=0.5,
    intensity_range=DeclaredRange(0.0, 4095.0, "the test"),
)
PLANE = Image(SERIES.array[0, 0, 0], "YX", (2.0, 1.0), "nm", (50.0, 25.0))
# What a file may say, and how to see whether it was kept.
FACTS: dict[str, Callable[[Image], object]] = {
    "axes T, C, Z": lambda image: image.axes,
    "pixel size and unit": lambda image: (
        np.round(image.pixel_size[-2:], 6).tolist() if image.unit else None,
        image.unit,
    ),
    "position": lambda image: np.round(image.origin[-2:], 6).tolist(),
    "names of channels": lambda image: [channel.name for channel in image.channels],
    "colours of channels": lambda image: [channel.colour for channel in image.channels],
    "time interval": lambda image: image.time_interval,
    "bit depth (12 in 16 bits)": lambda image: image.intensity_range and image.intensity_range.high,
}


def lif_file(path, pixels, dye="DAPI"):
    """Write a LIF file with one image (z, y, x) of pixels of 0.5 by 0.25 by 2 µm."""
    depth, height, width = pixels.shape
    lengths = {1: (width, 2, 0.25e-6), 2: (height, 2 * width, 0.5e-6), 3: (depth, 0, 2e-6)}
    lengths[3] = (depth, 2 * width * height, 2e-6)
    dimensions = "".join(
        f'<DimensionDescription DimID="{number}" NumberOfElements="{count}" Origin="0" '
        f'Length="{step * (count - 1)}" Unit="m" BitInc="0" BytesInc="{increment}"/>'
        for number, (count, increment, step) in lengths.items()
    )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="p" UniqueID="0"><Data/>'
        '<Memory Size="0" MemoryBlockID="MemBlock_0"/><Children><Element Name="cell" UniqueID="1">'
        '<Data><Image><ImageDescription><Channels><ChannelDescription DataType="0" ChannelTag="0" '
        'Resolution="16" NameOfMeasuredQuantity="" Min="0" Max="65535" Unit="" LUTName="Green" '
        'IsLUTInverted="0" BytesInc="0" BitInc="0"><ChannelProperty><Key>DyeName</Key><Value>'
        f"{dye}</Value></ChannelProperty></ChannelDescription></Channels><Dimensions>{dimensions}"
        f'</Dimensions></ImageDescription></Image></Data><Memory Size="{pixels.nbytes}" '
        'MemoryBlockID="MemBlock_1"/></Element></Children></Element></LMSDataContainerHeader>'
    )

    def block(text, extra=b""):
        content = b"\x2a" + extra + struct.pack("<I", len(text)) + text.encode("utf-16-le")
        return struct.pack("<II", 0x70, len(content)) + content

    content = block(xml)
    for name, data in (("MemBlock_0", b""), ("MemBlock_1", pixels.tobytes())):
        content += block(name, struct.pack("<QB", len(data), 0x2A)) + data
    path.write_bytes(content)


def table(folder: Path) -> str:
    """Return both tables as Markdown."""
    lines = ["| written and read | " + " | ".join(f"`{ending}`" for ending in WRITTEN) + " |"]
    lines.append("|---" * (len(WRITTEN) + 1) + "|")
    for kind in TYPES:
        cells = (_kept_type(folder / f"{kind}{ending}", kind) for ending in WRITTEN)
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    for name, fact in FACTS.items():
        cells = (_kept_fact(folder / f"fact{ending}", fact) for ending in WRITTEN)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| read only | number types | stacks | pixel size | remark |",
        "|---|---|---|---|---|",
    ]
    lines += [_read_only(folder, *one) for one in READ_ONLY]
    return "\n".join(lines) + "\n"


def _kept_type(path: Path, kind: str) -> str:
    image = Image(PIXELS[0, 0, 0].astype(kind), "YX")
    try:
        write_image(image, path)
    except ValueError:
        return "refused"
    found = read_image(path)
    assert np.array_equal(found.read(), image.read()), (path, kind)
    return "kept" if found.dtype == image.dtype else f"as {found.dtype}"


def _kept_fact(path: Path, fact: Callable[[Image], object]) -> str:
    try:
        write_image(SERIES, path)
    except ValueError:
        write_image(PLANE, path)
    return "kept" if fact(read_image(path)) == fact(SERIES) else "lost"


def _by_opencv(path: Path, array: np.ndarray) -> None:
    if not cv2.imwrite(str(path), array):
        raise ValueError(path)


def _as_gif(path: Path, array: np.ndarray) -> None:
    path.write_bytes(imagecodecs.gif_encode(array))


Writer = Callable[[Path, np.ndarray], None]
READ_ONLY: tuple[tuple[str, Writer, tuple[str, ...]], ...] = (
    (".npy", np.save, tuple(TYPES)),
    (".bmp", _by_opencv, ("uint8",)),
    (".jpg", _by_opencv, ("uint8",)),
    (".webp", _by_opencv, ("uint8",)),
    (".gif", _as_gif, ("uint8",)),
    (".lif", lambda path, array: lif_file(path, array[None]), ("uint16",)),
)


def _read_only(folder: Path, ending: str, write: Writer, kinds: tuple[str, ...]) -> str:
    """Return the row of a format that is read only."""
    path = folder / f"a{ending}"
    types, images = [], []
    for kind in kinds:
        write(path, PIXELS[0, 0, 0].astype(kind))
        images = read_images(path)
        types.append(str(images[0].dtype))
    try:
        (lif_file if ending == ".lif" else write)(path, PIXELS[0, 0].astype(kinds[-1]))
        found = read_images(path)
        stacks = "pages" if len(found) > 1 else "volume" if "Z" in found[0].axes else "first"
    except (ValueError, RuntimeError, cv2.error):
        stacks = "no"
    size = "kept" if images[0].unit else "none"
    kept = ", ".join(dict.fromkeys(types)) if len(types) < len(TYPES) else "all of the above"
    return f"| `{ending}` | {kept} | {stacks} | {size} | {' '.join(images[0].notices)} |"


def in_page(text: str) -> str:
    """Return the table that the text of a page holds."""
    return text.partition(BEGIN)[2].partition(END)[0]


def main() -> int:
    """Write the table into the page."""
    with TemporaryDirectory() as folder:
        new = table(Path(folder))
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    PAGE.write_text(before + begin + new + end + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
