"""Arrays from npz files, without ever unpickling and without trusting what the file claims.

Headers are read before any array: object arrays (which numpy would unpickle) raise
`ArtifactRefusedError`; a header that promises more bytes than its member holds, or members that
unpack to more than 4 GiB together, raise `DataError`.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.lib import format as npy

from raiaudit.errors import ArtifactRefusedError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["npz_keys", "read_npz"]

_MAX_BYTES = 4 * 2**30


def npz_keys(path: Path) -> tuple[str, ...]:
    """The names of the arrays in the file."""
    try:
        with zipfile.ZipFile(path) as bundle:
            return tuple(name.removesuffix(".npy") for name in bundle.namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"not a readable npz file ({error})", where=str(path)) from error


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The named arrays. Raises `DataError` when one is missing or damaged."""
    if missing := [key for key in keys if key not in npz_keys(path)]:
        raise DataError(
            f"no array {', '.join(missing)}", where=str(path), remedy=f"it has {', '.join(npz_keys(path))}"
        )
    try:
        with zipfile.ZipFile(path) as bundle:
            total = sum(bundle.getinfo(f"{key}.npy").file_size for key in keys)
            if total > _MAX_BYTES:
                raise DataError(
                    f"its arrays unpack to {total:,} bytes; at most {_MAX_BYTES:,} are read",
                    where=str(path),
                    remedy="audit a sample, or use an image folder",
                )
            return {key: _read(bundle, key, f"{path}, array {key}") for key in keys}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"not a readable npz file ({error})", where=str(path)) from error


def _read(bundle: zipfile.ZipFile, key: str, where: str) -> NDArray[Any]:
    size = bundle.getinfo(f"{key}.npy").file_size
    with bundle.open(f"{key}.npy") as stream:
        version = npy.read_magic(stream)
        if version not in {(1, 0), (2, 0)}:
            raise DataError(f"npy format {version[0]}.{version[1]} is not supported", where=where)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise ArtifactRefusedError(
                "an object array is a pickle, which could run code",
                where=where,
                remedy="save it as numbers or as a fixed-width string array (dtype '<U…')",
            )
        if math.prod(shape) * dtype.itemsize > size:
            raise DataError(f"the header promises {shape} of {dtype}, more than the file holds", where=where)
    with bundle.open(f"{key}.npy") as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array
