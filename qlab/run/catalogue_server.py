"""The embedded catalogue's server, in a process of its own: `python -m qlab.run.catalogue_server FOLDER TAGS`.

It reads its API key from the first line of its input, prints its port, and ends when its input does: it cannot outlive
the session that started it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the input ends."""
    # What an operator of a server wants to read, nobody wants to read in the middle of an experiment.
    with contextlib.redirect_stdout(sys.stderr):
        server = _server(*(Path(text) for text in arguments or sys.argv[1:]), key=sys.stdin.readline().strip())

    def wait() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=wait, daemon=True).start()
    server.run()
    return 0


def _server(folder: Path, tags: Path, *, key: str) -> Any:
    import uvicorn
    from tiled.catalog import from_uri as open_tree
    from tiled.config import Authentication
    from tiled.server.app import build_app

    for place in (folder / "data", tags):
        place.mkdir(parents=True, exist_ok=True)
    tree = open_tree(
        folder / "catalog.db",
        writable_storage=[folder / "data", f"sqlite:///{folder / 'tables.db'}"],
        readable_storage=[tags],
        init_if_not_exists=not (folder / "catalog.db").exists(),  # it takes a process of its own, and seconds
    )
    app = build_app(tree, authentication=Authentication(single_user_api_key=key))

    class Server(uvicorn.Server):  # type: ignore[misc, unused-ignore]
        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            print(self.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201

    return Server(uvicorn.Config(app, host="127.0.0.1", port=0, loop="asyncio", log_config=None))


if __name__ == "__main__":
    sys.exit(main())
