"""Whether the process that writes a file is still there: it holds a lock that ends with it, however it ends."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["has_writer", "hold"]

_LOCKS: Any = import_module("fcntl") if find_spec("fcntl") else None


def hold(descriptor: int) -> None:
    """Let others know that this process writes an open file; ends when the descriptor is closed or the process dies.

    The lock is a shared one: readers, those of the HDF5 library too, are not kept out.
    """
    if _LOCKS is not None:
        try:
            _LOCKS.flock(descriptor, _LOCKS.LOCK_SH | _LOCKS.LOCK_NB)
        except OSError:  # a file system without locks
            return


def has_writer(path: Path) -> bool | None:
    """Tell whether a process writes (or a reader of HDF5 just opens) a file; None where the system cannot say."""
    if _LOCKS is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        _LOCKS.flock(descriptor, _LOCKS.LOCK_EX | _LOCKS.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    else:
        return False
    finally:
        os.close(descriptor)
