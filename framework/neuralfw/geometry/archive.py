"""NumPy's .npy and .npz, opened without pickle and without trusting the sizes that they announce.

On damaged files numpy, zipfile and zlib raise errors of a dozen unrelated types; all become one UserError here.
"""

import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from neuralfw.errors import UserError

_DEFLATE_RATIO = 1100
"""Deflate cannot pack more than about 1030 bytes into one."""


def read_npy(path: Path) -> Shaped[np.ndarray, "..."]:
    """Read one array.

    Raises:
        UserError: no .npy file, a truncated one, or an array of objects.
    """
    try:
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except Exception as error:
        raise UserError(f"{path} cannot be read as a NumPy array: {error}.") from error


def read_npz(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read all arrays of an .npz archive.

    Raises:
        UserError: no .npz file, a truncated one, an array of objects, or sizes that its bytes cannot hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                _check_entry(archive, entry)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:
        raise UserError(f"{path} cannot be read as a NumPy archive (.npz): {error}.") from error


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    if entry.file_size > _DEFLATE_RATIO * (entry.compress_size + 1):
        raise ValueError(f"{entry.filename} announces {entry.file_size} bytes")
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        size = dtype.itemsize * int(np.prod([int(n) for n in shape], dtype=object))
        if size > entry.file_size:
            raise ValueError(f"{entry.filename} announces an array of {size} bytes in {entry.file_size}")
