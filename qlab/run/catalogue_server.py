"""The embedded catalogue, in a process of its own: `python -m qlab.run.catalogue_server FOLDER TAGS`.

It serves a Tiled catalogue on a free loopback port and writes documents into it.  Its input is a line with the API key, then
frames: four bytes of length, then a pickled pair.  A pair of a document's name and the document is written; the pair
`("flush", None)` is answered by a line `flushed` when everything before it is written.  The first line of its output is the
port; a line `failed RUN REASON` says of a run that it could not be kept.  It ends when its input does and all is written: it
cannot outlive the session that started it, and the session need not import Tiled, which takes seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import queue
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["FLUSH", "LENGTH", "main"]

LENGTH = struct.Struct("<I")
FLUSH = "flush"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve and write until the input ends."""
    said = sys.stdout  # before others get hold of it
    source = sys.stdin.buffer
    key = source.readline().decode().strip()
    documents: queue.Queue[tuple[str, Any] | None] = queue.Queue()
    threading.Thread(target=_listen, args=(source, documents), daemon=True).start()
    # What an operator of a server wants to read, nobody wants to read in the middle of an experiment.
    with contextlib.redirect_stdout(sys.stderr):
        server = _server(*(Path(text) for text in arguments or sys.argv[1:]), key=key)
    writer = threading.Thread(target=_write, args=(server, key, documents, said), daemon=True)
    server.when_up = writer.start
    server.run()
    return 0


def _listen(source: BinaryIO, documents: queue.Queue[tuple[str, Any] | None]) -> None:
    """Take documents as they come: whoever sends them never waits for Tiled."""
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        body = source.read(length)
        if len(body) < length:
            break
        documents.put(pickle.loads(body))
    documents.put(None)


def _server(folder: Path, tags: Path, *, key: str) -> Any:
    for place in (folder / "data", tags):
        place.mkdir(parents=True, exist_ok=True)
    import uvicorn
    from tiled.catalog import from_uri as open_tree
    from tiled.config import Authentication
    from tiled.server.app import build_app

    if not (folder / "catalog.db").exists():
        _create(folder / "catalog.db")
    tree = open_tree(
        folder / "catalog.db",
        writable_storage=[folder / "data", f"sqlite:///{folder / 'tables.db'}"],
        readable_storage=[tags],
    )
    app = build_app(tree, authentication=Authentication(single_user_api_key=key))

    class Server(uvicorn.Server):  # type: ignore[misc, unused-ignore]
        when_up: Any = None
        port = 0

        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            self.port = self.servers[0].sockets[0].getsockname()[1]
            self.when_up()

    return Server(uvicorn.Config(app, host="127.0.0.1", port=0, loop="asyncio", log_config=None))


def _create(path: Path) -> None:
    """Make a new database as `tiled catalog init` does, without the seconds that a process of its own would take."""
    from sqlalchemy.ext.asyncio import create_async_engine
    from tiled.alembic_utils import stamp_head
    from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
    from tiled.catalog.core import initialize_database
    from tiled.utils import ensure_specified_sql_driver

    uri = ensure_specified_sql_driver(path)

    async def make_tables() -> None:
        engine = create_async_engine(uri)
        try:
            await initialize_database(engine)
        finally:
            await engine.dispose()

    asyncio.run(make_tables())
    stamp_head(ALEMBIC_INI_TEMPLATE_PATH, ALEMBIC_DIR, uri)


class _Refused:
    """Takes what ends a block: a document that Tiled refuses must not end the documents after it."""

    def __init__(self) -> None:
        self.reason = ""

    def __enter__(self) -> _Refused:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> bool:
        if value is not None:
            self.reason = f"{type(value).__name__}: {value}".replace("\n", " ")[:500]
        return True


def _write(server: Any, key: str, documents: queue.Queue[tuple[str, Any] | None], said: Any) -> None:
    """Write documents in their order until there are no more, then end the server."""
    print(server.port, file=said, flush=True)
    writer: Any = None
    run, lost = "", False
    with _Refused() as opening:
        from tiled.client.base import BaseClient

        from qlab.run.catalogue import open_writer

        # Nobody can subscribe to streams here: a third of all requests would say of each node that its stream ends.
        BaseClient.close_stream = lambda node: None

        writer = open_writer(f"http://127.0.0.1:{server.port}/api/v1?api_key={key}")[1]
    while (item := documents.get()) is not None:
        name, doc = item
        if name == FLUSH:
            print("flushed", file=said, flush=True)
            continue
        if name == "start":
            run, lost = doc["uid"], False
        if lost:
            continue
        with _Refused() as refusal:
            if writer is not None:
                writer(name, doc)
        reason = opening.reason or refusal.reason
        if reason:
            lost = True  # half a run is told once
            print(f"failed {run} {reason}", file=said, flush=True)
    server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
