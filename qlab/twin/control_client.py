"""The other end of the control channel, for the command line, plans and tests."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from qlab.errors import TwinError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["ControlClient"]


class ControlClient:
    """A connection to a running lab's control channel.

    Parameters
    ----------
    host, port:
        As `ControlServer.address` says.
    timeout_s:
        Wall time that an answer may take; stepping through a long simulation takes its time.

    Every method raises `TwinError` with the server's words where it refuses, or where it cannot be reached.
    """

    def __init__(self, host: str, port: int, *, timeout_s: float = 60.0) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as exc:
            msg = f"no lab listens for control at {host}:{port} ({exc}); is it running?"
            raise TwinError(msg) from exc
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; may be called again."""
        self._file.close()
        self._socket.close()

    def call(self, op: str, **fields: object) -> object:
        """Send a request and return its result."""
        try:
            self._socket.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
            line = self._file.readline()
        except OSError as exc:
            msg = f"the lab did not answer to {op!r}: {exc}"
            raise TwinError(msg) from exc
        if not line:
            msg = f"the lab closed the control channel at {op!r}"
            raise TwinError(msg)
        answer = json.loads(line)
        if not answer["ok"]:
            raise TwinError(answer["error"])
        result: object = answer["result"]
        return result

    def list(self) -> object:
        """Return the state of every mount by name."""
        return self.call("list")

    def fault(self, instrument: str, kind: str, **fields: object) -> object:
        """Arm a wire fault or a fault of the instrument."""
        return self.call("fault", instrument=instrument, kind=kind, **fields)

    def clear(self, instrument: str | None = None, kind: str | None = None) -> object:
        """Clear wire faults."""
        wanted = {"instrument": instrument, "kind": kind}
        return self.call("clear", **{key: value for key, value in wanted.items() if value is not None})

    def power(self, instrument: str, state: str, *, boot_s: float = 0.0) -> object:
        """Switch an instrument "on", "off", or both ("cycle")."""
        return self.call("power", instrument=instrument, state=state, boot_s=boot_s)

    def peek(self, instrument: str) -> object:
        """Return the front panel's state."""
        return self.call("peek", instrument=instrument)

    def step(self, seconds: float) -> object:
        """Move stepped time on and return it."""
        return self.call("step", seconds=seconds)

    def world(self, **fields: object) -> object:
        """Ask the world."""
        return self.call("world", **fields)
