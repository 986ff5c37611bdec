"""Tiled as a second home of a run's documents: one that is served somewhere, or one of our own in the data folder."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError, LinkClosedError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["EMBEDDED", "Catalogue", "EmbeddedCatalogue", "ServedCatalogue", "open_catalogue"]

EMBEDDED = "embedded"
"""What `--catalogue` says instead of an address."""
START_S = 60.0
"""Wall seconds that our own server may take to start."""


def open_catalogue(uri: str, data_dir: Path) -> Catalogue:
    """Open the catalogue at an address, or start our own for `embedded`.

    Parameters
    ----------
    uri:
        Address with API key as `tiled serve` prints it, or `embedded`.
    data_dir:
        Where the embedded catalogue and documents that a server did not take are kept.
    """
    if uri == EMBEDDED:
        return EmbeddedCatalogue(data_dir)
    return ServedCatalogue(uri, data_dir / "unsent")


class Catalogue:
    """A Tiled catalogue of runs.

    Attributes
    ----------
    client, writer:
        Tiled's client, and the run engine's callback.
    """

    def __init__(self, uri: str, unsent: Path) -> None:
        # Imported here: together they take seconds, and most sessions do without.
        try:
            from bluesky_tiled_plugins import TiledWriter
            from tiled.client import from_uri
        except ImportError as error:
            raise _missing(error) from error
        import httpx

        try:
            self.client: Any = from_uri(uri)
            # 0: every array goes to a file of its own.  Small ones would become list columns, which SQLite has not.
            self.writer: Any = TiledWriter(self.client, backup_directory=str(unsent), max_array_size=0)
        except (httpx.HTTPError, OSError) as error:
            what = f"the catalogue at {uri.partition('?')[0]} cannot be reached"
            hint = "start it, or run without --catalogue: documents are kept in the data folder in any case"
            raise LinkClosedError(what, device="catalogue", found=str(error), hint=hint) from error

    def get(self, run: str | int) -> Any:
        """Return a run by uid or its beginning, scan id, or -1, -2 ... from the end.

        Raises
        ------
        BadRequestError
            No run, or several, of that name.
        """
        text = str(run)
        if text in self.client:
            return self.client[text]
        uids = self.runs()
        if text.startswith("-") and text[1:].isdigit():
            hits = uids[int(text) :][:1] if int(text[1:]) <= len(uids) else []
        else:
            hits = [uid for uid in uids if uid.startswith(text)]
            if text.isdigit():
                scans = [uid for uid in uids if self.client[uid].metadata["start"].get("scan_id") == int(text)]
                hits = scans[-1:] or hits
        if len(hits) != 1:
            msg = f"{text!r} names {'no run' if not hits else f'{len(hits)} runs'} of the {len(uids)} in the catalogue"
            raise BadRequestError(msg)
        return self.client[hits[0]]

    def runs(self) -> list[str]:
        """Return the uids of all runs, the oldest first."""
        return list(self.client)

    def close(self) -> None:
        """Close the client's connections."""
        self.client.context.http_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class ServedCatalogue(Catalogue):
    """A Tiled server that somebody else runs.

    Parameters
    ----------
    uri:
        Its address, API key included.
    unsent:
        Where documents go that the server did not take.
    """


class EmbeddedCatalogue(Catalogue):
    """A Tiled server of our own on a loopback port: everything is in `DATA_DIR/catalogue`, tags are read where they are.

    Parameters
    ----------
    data_dir:
        The session's data folder.

    It must be closed: its server's thread would keep the interpreter alive.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "catalogue"
        self._server, self._thread = _serve(self.folder, data_dir / "tags", key := secrets.token_hex(16))
        try:
            port = self._server.servers[0].sockets[0].getsockname()[1]
            self.uri = f"http://127.0.0.1:{port}/api/v1?api_key={key}"
            super().__init__(self.uri, data_dir / "unsent")
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Close the client's connections and end the server."""
        super().close()
        self._stop()

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def _serve(folder: Path, tags: Path, key: str) -> tuple[Any, threading.Thread]:
    """Start a server; returns it and its thread when it answers."""
    try:
        import adbc_driver_sqlite  # noqa: F401 - Tiled would only miss it in the middle of a run
        import hdf5plugin  # noqa: F401
        import obstore  # noqa: F401
        import uvicorn
        from tiled.catalog import from_uri as open_tree
        from tiled.config import Authentication
        from tiled.server.app import build_app
    except ImportError as error:
        raise _missing(error) from error
    for place in (folder / "data", tags):
        place.mkdir(parents=True, exist_ok=True)
    tree = open_tree(
        folder / "catalog.db",
        writable_storage=[folder / "data", f"sqlite:///{folder / 'tables.db'}"],
        readable_storage=[tags],
        init_if_not_exists=True,
    )
    app = build_app(tree, authentication=Authentication(single_user_api_key=key))
    ready = threading.Event()

    class Server(uvicorn.Server):  # type: ignore[misc, unused-ignore]
        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            ready.set()

    server = Server(uvicorn.Config(app, host="127.0.0.1", port=0, loop="asyncio", log_config=None))

    def run() -> None:
        try:
            server.run()
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="qlab-catalogue", daemon=True)
    thread.start()
    if not ready.wait(START_S) or not server.started:
        server.should_exit = True
        thread.join()
        what = f"the embedded catalogue in {folder} did not start"
        raise LinkClosedError(what, device="catalogue", hint="run without --catalogue: documents are kept in any case")
    return server, thread


def _missing(error: ImportError) -> BadRequestError:
    name = error.name or str(error)
    return BadRequestError(f"--catalogue needs Tiled ({name} is missing): pip install 'qlab[tiled]'")
