"""Images that stay on disk: an array of N×C×H×W uint8 that decodes what is indexed, with Pillow, in threads.

What is indexed is an ndarray, as it would be of the images in memory; `rows` restricts the images
without reading one. Nothing is kept between two reads, so memory is that of one batch.
Raises `DataError` naming the file and its row when an image is damaged or does not fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from raiaudit.errors import DataError
from raiaudit.models.data.user_images import Layout, check_header, decode

__all__ = ["StreamedImages"]

_MOST_AT_ONCE = 4 * 2**30
_CHUNK = 16 * 2**20
_THREADS = min(8, os.cpu_count() or 1)


class StreamedImages:
    """Images at `paths`, all of one `layout`. `places` say where each stands in the data set, for errors."""

    streamed = True
    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, paths: Sequence[Path] | NDArray[Any], places: Sequence[str] | NDArray[Any], layout: Layout
    ) -> None:
        assert len(paths) == len(places)
        self._paths: NDArray[Any] = np.array(paths, dtype=object)
        self._places: NDArray[Any] = np.array(places, dtype=object)
        self._layout = layout

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return len(self), *self._layout.shape

    @property
    def nbytes(self) -> int:
        """What the images would take in memory."""
        return len(self) * int(np.prod(self._layout.shape))

    def rows(self, index: slice | NDArray[Any] | Sequence[int]) -> StreamedImages:
        """The images at `index` (a slice, row numbers or a mask), still on disk."""
        return StreamedImages(self._paths[index], self._places[index], self._layout)

    def followed_by(self, others: StreamedImages) -> StreamedImages:
        """These images and then the others."""
        assert self._layout == others._layout
        paths, places = np.append(self._paths, others._paths), np.append(self._places, others._places)
        return StreamedImages(paths, places, self._layout)

    def __getitem__(self, index: int | slice | NDArray[Any] | Sequence[int]) -> NDArray[np.uint8]:
        """One image C×H×W, or several as M×C×H×W."""
        if isinstance(index, int | np.integer):
            return decode(self._paths[index], self._layout, self._places[index])
        chosen = self.rows(index)
        images_NCHW = np.empty(chosen.shape, dtype=np.uint8)

        def fill(row: int) -> None:
            images_NCHW[row] = decode(chosen._paths[row], chosen._layout, chosen._places[row])

        _for_each(fill, len(chosen))
        return images_NCHW

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them. Raises `DataError` when that is more than 4 GiB."""
        self.require_memory()
        images_NCHW = self[:]
        return images_NCHW if dtype is None else images_NCHW.astype(dtype, copy=False)

    def require_memory(self) -> None:
        """Raise `DataError` when the images are more than 4 GiB together."""
        if self.nbytes > _MOST_AT_ONCE:
            raise DataError(
                f"{len(self)} images of {self._layout.shape} are {self.nbytes:,} bytes; at most "
                f"{_MOST_AT_ONCE:,} are held in memory at once",
                where=str(self._paths[0].parent),
                remedy="leave `stream` at auto, audit fewer examples, or scale the images down with `size`",
            )

    @cached_property
    def mean_image(self) -> NDArray[np.float64]:
        """The mean image C×H×W in [0, 255], exact; one pass over the disk."""
        total_CHW = np.zeros(self._layout.shape, dtype=np.int64)
        chunk = max(1, _CHUNK // int(np.prod(self._layout.shape)))
        for start in range(0, len(self), chunk):
            total_CHW += self[start : start + chunk].sum(axis=0, dtype=np.int64)
        return total_CHW / len(self)

    def check_headers(self) -> None:
        """Refuse an image whose header does not fit before hours are spent on the others."""
        _for_each(lambda row: check_header(self._paths[row], self._layout, self._places[row]), len(self))


def _for_each(work: Callable[[int], None], count: int) -> None:
    """Call `work` with 0 … count − 1 in threads; of several errors the one of the lowest is raised."""
    if count == 0:
        return
    with ThreadPoolExecutor(min(_THREADS, count)) as threads:
        for _ in threads.map(work, range(count)):
            pass
