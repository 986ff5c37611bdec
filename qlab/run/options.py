"""What a person chooses for a session, beside the lab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a session runs.

    Parameters
    ----------
    overrides:
        `key.path=value` texts for the lab file.
    data_dir:
        Where data and the embedded catalogue go; None: what the lab file says, or `./qlab-data`.
    catalogue_uri:
        A Tiled catalogue that gets the documents as well: the address of a served one, `embedded` for one of our own in
        the data folder, `default` for what the lab file says or else our own where Tiled is installed, `none` or None for
        none.  Documents are kept as JSON lines in any case.
    """

    overrides: tuple[str, ...] = ()
    data_dir: Path | None = None
    catalogue_uri: str | None = None
