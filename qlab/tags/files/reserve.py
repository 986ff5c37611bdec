"""Room on the disk, taken before the HDF5 library asks for it.

The library cannot recover from a write that fails: it keeps the dirty piece, fails again at close, and may end the
process with a segmentation fault at exit (seen with HDF5 1.14 on a full disk).  So the file is lengthened first by an
ordinary system call, whose failure is an ordinary error, and the library only ever writes where there is room.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qlab.alive import hold

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Reserve"]

_STEP = 4 << 20
# HDF5 file format specification, superblock versions 2 and 3: "End of File Address", 8 bytes from byte 28.
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END_ADDRESS = slice(28, 36)


class Reserve:
    """Space reserved behind the end of one HDF5 file.

    Parameters
    ----------
    path:
        The file, which exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR)
        self._size = os.fstat(self._fd).st_size

    def hold(self) -> None:
        """Let readers know that this process writes the file, until `release`."""
        hold(self._fd)

    def need(self, used: int, more: int) -> None:
        """Make sure that `more` bytes can be written behind `used`; raises OSError where they cannot."""
        wanted = used + more
        if wanted <= self._size:
            return
        try:
            self._lengthen(wanted + _STEP)
        except OSError:
            self._lengthen(wanted)  # use the last megabytes too

    def _lengthen(self, size: int) -> None:
        self._size = max(self._size, os.fstat(self._fd).st_size)
        if size <= self._size:
            return
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._fd, self._size, size - self._size)
        else:
            os.lseek(self._fd, self._size, os.SEEK_SET)
            for start in range(self._size, size, _STEP):
                os.write(self._fd, bytes(min(_STEP, size - start)))
        self._size = size

    def release(self) -> None:
        """Give back what was not used, after the library has closed the file."""
        if self._fd < 0:
            return
        head = os.pread(self._fd, 36, 0) if hasattr(os, "pread") else self._path.read_bytes()[:36]
        end = int.from_bytes(head[_END_ADDRESS], "little")
        if head[:8] == _SIGNATURE and head[8] in (2, 3) and 0 < end < os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, end)
        os.close(self._fd)
        self._fd = -1
