"""Tiled as a second home of a run's documents: one that is served somewhere, or one of our own in the data folder."""

from __future__ import annotations

import io
import pickle
import secrets
import subprocess
import sys
import threading
from contextlib import redirect_stdout, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qlab.errors import BadRequestError, LinkClosedError
from qlab.run.catalogue_server import FLUSH, LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    "open_client",
    "open_writer",
]

EMBEDDED = "embedded"
DEFAULT = "default"
NONE = "none"
"""What `--catalogue` says instead of an address."""
_NEEDED = ("tiled", "bluesky_tiled_plugins", "adbc_driver_sqlite", "hdf5plugin", "obstore", "uvicorn")
ANSWER_S, STOP_S = 600.0, 10.0
"""Wall seconds that our own server may take to say a word, and to end when everything is written."""


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


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

    client: Any
    writer: Callable[[str, Any], object]

    def get(self, run: str | int) -> Any:
        """Return a run by uid or its beginning, scan id, or -1, -2 ... from the end.

        Raises
        ------
        BadRequestError
            No run, or several, of that name.
        """
        text, client = str(run), self.client
        if text in client:
            return client[text]
        uids = list(client)
        if text.startswith("-") and text[1:].isdigit():
            hits = uids[int(text) :][:1] if int(text[1:]) <= len(uids) else []
        else:
            hits = [uid for uid in uids if uid.startswith(text)]
            if text.isdigit():
                scans = [uid for uid in uids if client[uid].metadata["start"].get("scan_id") == int(text)]
                hits = scans[-1:] or hits
        if len(hits) != 1:
            msg = f"{text!r} names {'no run' if not hits else f'{len(hits)} runs'} of the {len(uids)} in the catalogue"
            raise BadRequestError(msg)
        return client[hits[0]]

    def replace(self, documents: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Write a run anew from all its documents; files that it refers to stay where they are."""
        client, uid = self.client, documents[0][1]["uid"]
        if uid in client:
            client.delete_contents(uid, recursive=True, external_only=False)
        writer = _writer(client)
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

    def __init__(self, uri: str, unsent: Path) -> None:
        self.client, self.writer = open_writer(uri, unsent)


class EmbeddedCatalogue(Catalogue):
    """A Tiled server of our own on a loopback port: everything is in `DATA_DIR/catalogue`, tags are read where they are.

    Parameters
    ----------
    data_dir:
        The session's data folder.
    tell:
        Is told, at the end, of runs that it could not keep.

    The server is a process of its own, which writes what it is sent while the experiment goes on, and ends with `close`, or
    with us.  Whoever reads waits until what was sent is written.
    """

    def __init__(self, data_dir: Path, tell: Callable[[str], object] = _to_stderr) -> None:
        for module in _NEEDED:  # Tiled would only miss some of them in the middle of a run
            if find_spec(module) is None:
                raise _missing(module)
        self.folder = data_dir / "catalogue"
        self._tell = tell
        self._open_client: Any = None
        self._port = 0
        self._trouble: list[str] = []
        command = [sys.executable, "-m", "qlab.run.catalogue_server", str(self.folder), str(data_dir / "tags")]
        data_dir.mkdir(parents=True, exist_ok=True)
        with (data_dir / "catalogue.log").open("wb") as log:
            # In a session of its own: Ctrl-C, and a terminal that closes, are for us and not for the server.
            self._server = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        self._key = secrets.token_hex(16)
        self._say(f"{self._key}\n".encode())

    def writer(self, name: str, doc: Any) -> None:
        """Send a document."""
        self._send(name, doc)

    @property
    def uri(self) -> str:
        """The server's address, with its key; waits until it is up."""
        if not self._port:
            line = self._hear()
            if not line.isdigit():
                what = f"the embedded catalogue in {self.folder} did not start"
                log = self.folder.parent / "catalogue.log"
                hint = f"see {log}, or use --catalogue none: documents are kept in any case"
                raise LinkClosedError(what, device="catalogue", hint=hint)
            self._port = int(line)
        return f"http://127.0.0.1:{self._port}/api/v1?api_key={self._key}"

    @property
    def client(self) -> Any:
        """Tiled's client, which sees everything that was sent; imported when it is first wanted, which takes seconds."""
        uri = self.uri
        self._send(FLUSH, None)
        while (line := self._hear()) and line != "flushed":
            self._trouble.append(line)
        if self._open_client is None:
            self._open_client = open_client(uri)
        return self._open_client

    def close(self) -> None:
        """Wait until everything is written, end the server, and tell what it could not keep."""
        if self._open_client is not None:
            self._open_client.context.http_client.close()
        with suppress(BrokenPipeError):
            self._server.stdin.close()  # type: ignore[union-attr]
        while line := self._hear():
            if not line.isdigit():
                self._trouble.append(line)
        try:
            ended = self._server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            ended = self._server.wait()
        self._server.stdout.close()  # type: ignore[union-attr]
        for line in self._trouble:
            _, run, reason = line.split(" ", 2)
            self._tell(
                f"catalogue: run {run[:8]} was not kept ({reason}); its documents are in {self.folder.parent / 'runs'}"
            )
        if ended and not self._trouble:
            log = self.folder.parent / "catalogue.log"
            self._tell(f"catalogue: the server failed, see {log}; documents are in {self.folder.parent / 'runs'}")

    def _send(self, name: str, doc: Any) -> None:
        body = pickle.dumps((name, doc))
        self._say(LENGTH.pack(len(body)) + body)

    def _say(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # it is gone, as will be told at the end
            self._server.stdin.write(data)  # type: ignore[union-attr]
            self._server.stdin.flush()  # type: ignore[union-attr]

    def _hear(self) -> str:
        """Return the server's next line, empty where it has ended; it is killed where it says nothing for too long."""
        watchdog = threading.Timer(ANSWER_S, self._server.kill)
        watchdog.start()
        try:
            return self._server.stdout.readline().decode().strip()  # type: ignore[union-attr]
        finally:
            watchdog.cancel()
            watchdog.join()


def open_client(uri: str) -> Any:
    """Return Tiled's client of a server; raises `LinkClosedError` where nobody serves."""
    _, from_uri = import_client()
    import httpx

    try:
        return from_uri(uri)
    except (httpx.HTTPError, OSError) as error:
        what = f"the catalogue at {uri.partition('?')[0]} cannot be reached"
        hint = "start it, or run without --catalogue: documents are kept in the data folder in any case"
        raise LinkClosedError(what, device="catalogue", found=str(error), hint=hint) from error


def open_writer(uri: str, unsent: Path | None = None) -> tuple[Any, Any]:
    """Return the client of a server and what writes documents to it; what it does not take goes to the folder `unsent`."""
    client = open_client(uri)
    return client, _writer(client, unsent)


def _writer(client: Any, unsent: Path | None = None) -> Any:
    writer, _ = import_client()
    # 0: every array goes to a file of its own.  Small ones would become list columns, which SQLite has not.
    return writer(client, backup_directory=None if unsent is None else str(unsent), max_array_size=0)


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
