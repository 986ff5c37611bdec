"""Tiled as a second home of a run's documents: one that is served somewhere, or one of our own in the data folder."""

from __future__ import annotations

import io
import secrets
import subprocess
import sys
import threading
from contextlib import redirect_stdout, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError, LinkClosedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = [
    "DEFAULT",
    "EMBEDDED",
    "NONE",
    "Catalogue",
    "EmbeddedCatalogue",
    "ServedCatalogue",
    "choose_catalogue",
    "open_catalogue",
]

EMBEDDED = "embedded"
DEFAULT = "default"
NONE = "none"
"""What `--catalogue` says instead of an address."""
_NEEDED = ("tiled", "bluesky_tiled_plugins", "adbc_driver_sqlite", "hdf5plugin", "obstore", "uvicorn")
START_S, STOP_S = 60.0, 10.0
"""Wall seconds that our own server may take to start and to end."""


def choose_catalogue(said: str, lab_says: str | None = None) -> str | None:
    """Return which catalogue to open, None for none.

    Parameters
    ----------
    said:
        An address, `embedded`, `none`, or `default`: what the lab file says, or else our own where Tiled is installed.
    lab_says:
        The lab file's key `catalogue`.
    """
    if said == DEFAULT:
        if lab_says is not None:
            return choose_catalogue(lab_says)
        return EMBEDDED if all(find_spec(module) is not None for module in _NEEDED) else None
    return None if said == NONE else said


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
        self._writer_class, from_uri = import_client()
        self._unsent = unsent
        import httpx

        try:
            self.client: Any = from_uri(uri)
            self.writer: Any = self._new_writer()
        except (httpx.HTTPError, OSError) as error:
            what = f"the catalogue at {uri.partition('?')[0]} cannot be reached"
            hint = "start it, or run without --catalogue: documents are kept in the data folder in any case"
            raise LinkClosedError(what, device="catalogue", found=str(error), hint=hint) from error

    def _new_writer(self) -> Any:
        # 0: every array goes to a file of its own.  Small ones would become list columns, which SQLite has not.
        return self._writer_class(self.client, backup_directory=str(self._unsent), max_array_size=0)

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

    def replace(self, documents: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Write a run anew from all its documents; files that it refers to stay where they are."""
        uid = documents[0][1]["uid"]
        if uid in self.client:
            self.client.delete_contents(uid, recursive=True, external_only=False)
        writer = self._new_writer()
        for name, doc in documents:
            writer(name, doc)

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

    The server is a process of its own, which ends with `close`, or with us.
    """

    def __init__(self, data_dir: Path) -> None:
        for module in _NEEDED:  # Tiled would only miss some of them in the middle of a run
            if find_spec(module) is None:
                raise _missing(module)
        self.folder = data_dir / "catalogue"
        command = [sys.executable, "-m", "qlab.run.catalogue_server", str(self.folder), str(data_dir / "tags")]
        data_dir.mkdir(parents=True, exist_ok=True)
        with (data_dir / "catalogue.log").open("wb") as log:
            self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            key = secrets.token_hex(16)
            self._say(key)
            import_client()  # takes as long as the server takes to start
            self.uri = f"http://127.0.0.1:{self._port()}/api/v1?api_key={key}"
            super().__init__(self.uri, data_dir / "unsent")
        except BaseException:
            self._stop()
            raise

    def close(self) -> None:
        """Close the client's connections and end the server."""
        super().close()
        self._stop()

    def _say(self, text: str) -> None:
        if self._server.stdin is not None:
            with suppress(BrokenPipeError):
                self._server.stdin.write(f"{text}\n".encode())
                self._server.stdin.flush()

    def _port(self) -> int:
        """Wait for the server's first word; it says nothing where it could not start."""
        watchdog = threading.Timer(START_S, self._server.kill)
        watchdog.start()
        try:
            line = self._server.stdout.readline() if self._server.stdout is not None else b""
        finally:
            watchdog.cancel()
            watchdog.join()
        if not line.strip().isdigit():
            what = f"the embedded catalogue in {self.folder} did not start"
            hint = (
                f"see {self.folder.parent / 'catalogue.log'}, or use --catalogue none: documents are kept in any case"
            )
            raise LinkClosedError(what, device="catalogue", hint=hint)
        return int(line)

    def _stop(self) -> None:
        if self._server.stdin is not None:
            with suppress(BrokenPipeError):
                self._server.stdin.close()
        try:
            self._server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        if self._server.stdout is not None:
            self._server.stdout.close()


def import_client() -> tuple[Any, Any]:
    """Import Tiled's client, which takes seconds; returns its writer's class and its opener."""
    try:
        from bluesky_tiled_plugins import TiledWriter

        with redirect_stdout(io.StringIO()):  # it introduces itself
            from tiled.client import from_uri
    except ImportError as error:
        raise _missing(error.name or str(error)) from error
    return TiledWriter, from_uri


def _missing(module: str) -> BadRequestError:
    return BadRequestError(f"--catalogue needs Tiled ({module} is missing): pip install 'qlab[lab]'")
