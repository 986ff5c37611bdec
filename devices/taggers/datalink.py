"""ID Quantique's tag download service ("DataLink Target Service"): text commands over ZeroMQ, JSON replies.

It runs on a host that reaches the time controller and writes one file an input: `bin` is little-endian uint64 picoseconds
since the record window began.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from qlab.errors import BadReplyError, BadRequestError, InstrumentError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from qlab.links.link import Link

__all__ = ["DataLink"]

ID_KEY, STATUS_KEY, ERROR_KEY, ERRORS_KEY, COUNT_KEY = "id", "status", "error", "errors", "timestamps_count"
"""Keys of the replies [V1], as the vendor's example scripts read them; without a count, files are believed as they are."""
FLUSH_POLL_S = 0.02
FLUSH_TIMEOUT_S = 30.0
"""[INF] The service writes behind the controller: it has everything once its count stands still."""


class DataLink:
    """A dialogue with the service.

    Parameters
    ----------
    link:
        The link to it.
    device:
        The tagger's name, for messages.
    """

    def __init__(self, link: Link, device: str) -> None:
        self.link = link
        self.device = device

    def start(self, controller: str, channel: int, path: Path) -> str:
        """Begin to save an input's tags; returns the job's name."""
        if any(letter.isspace() for letter in str(path)):
            msg = f"{self.device}: spool path {str(path)!r}: the download service cannot take blanks in it"
            raise BadRequestError(msg)
        command = f"start-save --address {controller} --channel {channel} --filename {path} --format bin"
        state = self._ask(command)
        if ID_KEY not in state:
            what = "the download service did not name its job"
            raise BadReplyError(what, device=self.device, command=command, found=str(dict(state)))
        return str(state[ID_KEY])

    def flush(self, job: str) -> None:
        """Wait until the service has written all it will write."""
        deadline_s = self.link.clock.now_s() + FLUSH_TIMEOUT_S
        before = _count(self._ask(f"status --id {job}"))
        while True:
            self.link.clock.sleep(FLUSH_POLL_S)
            now = _count(self._ask(f"status --id {job}"))
            if now == before:
                return
            if self.link.clock.now_s() > deadline_s:
                what = f"the download service still writes {FLUSH_TIMEOUT_S:g} s after the record window"
                raise InstrumentError(what, device=self.device, command=f"status --id {job}", found=str(now))
            before = now

    def stop(self, job: str) -> int | None:
        """End a job; returns how many tags it wrote, as far as the service tells.

        Raises
        ------
        StorageError
            The service could not write.
        """
        state = self._ask(f"stop --id {job}")
        failure = _failure(state)
        if failure:
            msg = (
                f"{self.device}: the download service failed: {failure}; this acquisition is incomplete and "
                "was not used, those before are in the tag file; make room in the spool folder"
            )
            raise StorageError(msg)
        return _count(state)

    def read(self, path: Path, expected: int | None) -> NDArray[np.int64]:
        """Return the times of a file in ps since the record window began, and remove it."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            data = b""  # an input without a click has no file
        except OSError as error:
            msg = f"{self.device}: cannot read {path}: {error.strerror}; the service and this program must share it"
            raise StorageError(msg) from error
        count, rest = divmod(len(data), 8)
        if rest or (expected is not None and count != expected):
            what = "the download service's file is not what it says"
            wanted = f"{count if expected is None else expected} tags of 8 bytes"
            raise BadReplyError(what, device=self.device, found=f"{len(data)} bytes in {path}", expected=wanted)
        path.unlink(missing_ok=True)
        return np.frombuffer(data, dtype="<u8").astype(np.int64)

    def _ask(self, command: str) -> Mapping[str, Any]:
        reply = self.link.ask(command, retry=not command.startswith("start"))
        try:
            state = json.loads(reply)
        except json.JSONDecodeError as error:
            self.link.distrust()
            what = "the download service's reply is not JSON"
            raise BadReplyError(what, device=self.device, command=command, found=reply) from error
        if not isinstance(state, dict):
            what = "the download service's reply is not a JSON object"
            raise BadReplyError(what, device=self.device, command=command, found=reply)
        if _failure(state) and not command.startswith("stop"):
            what = "the download service refused a command"
            raise InstrumentError(what, device=self.device, command=command, found=_failure(state))
        return state


def _details(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the status, which `stop` puts one level deeper."""
    inner = state.get(STATUS_KEY)
    return inner if isinstance(inner, dict) else state


def _count(state: Mapping[str, Any]) -> int | None:
    count = _details(state).get(COUNT_KEY)
    return None if count is None else int(count)


def _failure(state: Mapping[str, Any]) -> str:
    """Return what went wrong in the service's words, nothing where all is well."""
    found = [state[ERROR_KEY]] if state.get(ERROR_KEY) else list(_details(state).get(ERRORS_KEY) or [])
    return "; ".join(str(error.get("description", error)) if isinstance(error, dict) else str(error) for error in found)
