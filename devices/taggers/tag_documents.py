"""How a tag file is announced to the run engine: its datasets as data keys and stream resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from event_model import ComposeStreamResource

from qlab.tags.files.gapblocks import ROW

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["describe", "resources"]

DATASETS: dict[str, tuple[tuple[int, ...], str]] = {
    "gap": ((ROW,), "<u4"),
    "channel": ((ROW,), "|u1"),
    "block_t0": ((), "<i8"),
    "valid": ((), "<u4"),
}


def describe(name: str) -> dict[str, dict[str, Any]]:
    """Describe the streams of a recorder, in bluesky's flat form."""
    return {
        f"{name}_{dataset}": {
            "source": f"file {name}",
            "dtype": "array" if shape else "integer",
            "dtype_numpy": dtype,
            "shape": list(shape),
            "external": "STREAM:",
        }
        for dataset, (shape, dtype) in DATASETS.items()
    }


def resources(name: str, path: Path) -> list[Any]:
    """Compose a stream resource for each dataset of a recorder's file."""
    return [
        ComposeStreamResource()(
            mimetype="application/x-hdf5",
            uri=f"file://localhost{quote(path.as_posix())}",
            data_key=f"{name}_{dataset}",
            parameters={
                "dataset": f"/{dataset}",
                "swmr": True,
                "join_method": "stack",
                "chunk_shape": [1, *shape] if shape else [1024],
            },
        )
        for dataset, (shape, _) in DATASETS.items()
    ]
