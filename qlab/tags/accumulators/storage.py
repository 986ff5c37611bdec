"""Accumulators as bytes: settings as JSON, counts and seams as arrays, no code."""

from __future__ import annotations

import io
import json
import zipfile
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from qlab.tags.accumulators.local import LocalAccumulator

__all__ = ["from_bytes", "pack"]

VERSION = 1
_WHERE = {
    "DelayHistogram": "histogram",
    "CoincidenceCounter": "coincidences",
    "FoldCounter": "folds",
    "HeraldedCounter": "heralded",
    "GatedCounter": "gated",
    "MultiTau": "multi_tau",
}


def pack(kind: str, engine: str, settings: Mapping[str, object], arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return one accumulator as bytes."""
    about = json.dumps({"version": VERSION, "kind": kind, "engine": engine, "settings": settings})
    file = io.BytesIO()
    np.savez(file, about=np.frombuffer(about.encode(), dtype=np.uint8), **dict(arrays))  # type: ignore[arg-type]
    return file.getvalue()


def from_bytes(data: bytes) -> LocalAccumulator[Any]:
    """Restore an accumulator from `to_bytes`; raises `StorageError` where these are not such bytes."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("about").tobytes())
        version, kind = about["version"], about["kind"]
        settings, engine = about["settings"], about["engine"]
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        msg = f"these {len(data)} bytes are no accumulator ({error}); expected what to_bytes() returned"
        raise StorageError(msg) from error
    if version != VERSION or kind not in _WHERE:
        msg = f"accumulator {kind!r} of version {version}: this qlab knows {', '.join(_WHERE)} of version {VERSION}"
        raise StorageError(msg)
    cls = getattr(import_module(f"qlab.tags.accumulators.{_WHERE[kind]}"), kind)
    restored: LocalAccumulator[Any] = cls.restored(settings, engine, arrays)
    return restored
