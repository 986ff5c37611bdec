"""A served Tiled catalogue as a second home of a run's documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError, LinkClosedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ServedCatalogue"]


class ServedCatalogue:
    """A Tiled server somewhere.

    Parameters
    ----------
    uri:
        Its address, API key included, as `tiled serve` prints it.
    unsent:
        Where documents go that the server did not take.

    Attributes
    ----------
    client, writer:
        Tiled's client, and the run engine's callback.
    """

    def __init__(self, uri: str, unsent: Path) -> None:
        try:
            from bluesky_tiled_plugins import TiledWriter
            from tiled.client import from_uri
        except ImportError as error:
            msg = f"--catalogue needs Tiled ({error.name} is missing): pip install 'qlab[tiled]'"
            raise BadRequestError(msg) from error
        import httpx

        try:
            self.client: Any = from_uri(uri)
            self.writer: Any = TiledWriter(self.client, backup_directory=str(unsent))
        except (httpx.HTTPError, OSError) as error:
            what = f"the catalogue at {uri.partition('?')[0]} cannot be reached"
            hint = "start it, or run without --catalogue: documents are kept in the data folder in any case"
            raise LinkClosedError(what, device="catalogue", found=str(error), hint=hint) from error

    def close(self) -> None:
        """Close the client's connections."""
        self.client.context.http_client.close()
