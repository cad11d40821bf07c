"""Read TensorFlow checkpoints (TensorBundle: NAME.index + NAME.data-?????-of-?????) with numpy.

The index is a sorted table of blocks: a 48-byte footer points to an index block, whose entries
point to data blocks. In a block each key is stored as its difference from the previous key, and
each value is a small protocol-buffer message with the location of a variable in the data files.
Nothing of a checkpoint is executed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_HEADER_KEY = b""
Fields = dict[int, list[int | bytes]]
"""The fields of a protocol-buffer message by number."""

_NUMPY_TYPES: dict[int, np.dtype] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
    19: np.dtype("<f2"),
}


@dataclass(frozen=True)
class Variable:
    """Location of a variable in the data files.

    `dtype` is None for types other than numbers, which cannot be read.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    shard: int
    offset: int
    size: int


@dataclass(frozen=True)
class Checkpoint:
    """The table of contents of a checkpoint."""

    prefix: Path
    shards: int
    variables: dict[str, Variable]

    def read(self, name: str) -> np.ndarray:
        """Return the values of a variable.

        Raises
        ------
        FileNotFoundError
            If the data file is missing.
        ValueError
            If it is too short, or the type of the variable is not supported.
        """
        variable = self.variables[name]
        path = _data_path(self.prefix, variable.shard, self.shards)
        if (
            variable.dtype is None
            or prod(variable.shape) * variable.dtype.itemsize != variable.size
        ):
            msg = f"{path.name}: the variable '{name}' is not stored as plain numbers."
            raise ValueError(msg)
        if not path.is_file():
            msg = (
                f"{path} is missing. A TensorFlow checkpoint consists of an .index file and its "
                "data files, with the same name in one folder."
            )
            raise FileNotFoundError(msg)
        if path.stat().st_size < variable.offset + variable.size:
            msg = (
                f"{path} is truncated: '{name}' should end at byte "
                f"{variable.offset + variable.size}, the file has {path.stat().st_size}. "
                "Copy or download it again."
            )
            raise ValueError(msg)
        values = np.fromfile(
            path, variable.dtype, count=prod(variable.shape), offset=variable.offset
        )
        return values.reshape(variable.shape)


def open_checkpoint(prefix: Path | str) -> Checkpoint:
    """Read the table of contents of a checkpoint.

    Parameters
    ----------
    prefix
        The checkpoint's name without its endings, or the path of its index or of a data file.

    Raises
    ------
    FileNotFoundError
        If there is no index file.
    ValueError
        If it is not the index of a TensorFlow checkpoint.
    """
    prefix = without_ending(Path(prefix))
    path = prefix.with_name(prefix.name + ".index")
    if not path.is_file():
        msg = f"{path} does not exist: a TensorFlow checkpoint needs its .index file."
        raise FileNotFoundError(msg)
    try:
        return _parse(prefix, path.read_bytes())
    except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
        msg = f"{path} is not the index of a TensorFlow checkpoint, or is damaged ({error})."
        raise ValueError(msg) from error


def without_ending(path: Path) -> Path:
    """Return the name of a checkpoint from the path of any of its files."""
    if path.suffix == ".index":
        return path.with_suffix("")
    head, found, _ = path.name.rpartition(".data-")
    return path.with_name(head) if found else path


def _data_path(prefix: Path, shard: int, shards: int) -> Path:
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")


def _parse(prefix: Path, raw: bytes) -> Checkpoint:
    if len(raw) < _FOOTER or struct.unpack("<Q", raw[-8:])[0] != _MAGIC:
        raise ValueError("its last bytes are not those of such a file")
    footer = raw[-_FOOTER:]
    _, at = _handle(footer, 0)  # the meta index, which is empty here
    index, _ = _handle(footer, at)
    shards = 1
    variables = {}
    for _, pointer in _entries(raw, *index):
        block, _ = _handle(pointer, 0)
        for key, value in _entries(raw, *block):
            if key == _HEADER_KEY:
                shards = _number(_fields(value), 1, default=1)
            else:
                name = key.decode()
                variables[name] = _variable(name, _fields(value))
    return Checkpoint(prefix, shards, variables)


def _entries(raw: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of one block of the table."""
    if offset + size + 5 > len(raw):  # five bytes of compression type and checksum follow
        raise ValueError("a block lies beyond its end")
    if raw[offset + size] != 0:
        raise ValueError("its blocks are compressed, which is not supported")
    block = raw[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length


def _handle(raw: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and the position behind both."""
    offset, at = _varint(raw, at)
    size, at = _varint(raw, at)
    return (offset, size), at


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return a number stored in groups of seven bits, the lowest first, and the position behind."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _fields(message: bytes) -> Fields:
    """Return the fields of a protocol-buffer message by number."""
    found: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif kind in (1, 5):
            width = 8 if kind == 1 else 4
            value, at = message[at : at + width], at + width
        else:
            raise ValueError(f"a message has a field of kind {kind}")
        found.setdefault(number, []).append(value)
    return found


def _variable(name: str, fields: Fields) -> Variable:
    shape = [
        _number(_fields(dimension), 1)
        for message in _messages(fields, 2)
        for dimension in _messages(_fields(message), 2)
    ]
    return Variable(
        name=name,
        shape=tuple(shape),
        dtype=_NUMPY_TYPES.get(_number(fields, 1)),
        shard=_number(fields, 3),
        offset=_number(fields, 4),
        size=_number(fields, 5),
    )


def _number(fields: Fields, field: int, default: int = 0) -> int:
    value = fields.get(field, [default])[0]
    if isinstance(value, bytes):
        raise ValueError(f"field {field} of a message is not a number")
    return value


def _messages(fields: Fields, field: int) -> list[bytes]:
    return [value for value in fields.get(field, []) if isinstance(value, bytes)]
