"""Twin of the ID900's tag download service ("DataLink Target Service"), a program on the host's side.

Text commands in ZeroMQ frames, JSON replies.  Written from protocol sheet 10; the keys of a status and the shape of an
error are those that the vendor's example scripts read.

===============  ====================================================================================
`start-save`     tags of one raw output into a file: `bin` (little-endian 64-bit ps) or `ascii`
`start-stream`   the same over ZeroMQ PAIR, one message a record, an empty one at the end
`status`         how far one download is
`stop`           ends it, and tells how far it was
`list`           the names of those that run
===============  ====================================================================================
"""

from __future__ import annotations

import argparse
import json
import shlex
from typing import TYPE_CHECKING, NoReturn

from qlab.errors import TwinError
from sim_devices.taggers.id900_frames import FrameConversation
from sim_devices.taggers.id900_jobs import Job, Save, Stream

if TYPE_CHECKING:
    from qlab.twin.bench import Bench
    from qlab.twin.conversation import OutputStream, StreamOpener
    from sim_devices.taggers.id900_jobs import Controller

__all__ = ["DataLinkTwin"]

FLUSH_PS = 250_000_000_000
"""[INF] Tags are handed on four times a second."""
ENDED_KEPT = 100
"""[INF] How many downloads that have ended can still be asked about."""
FIRST_STREAM_PORT = 4241
"""[V1] Channel n streams on this port plus n where no other was asked for."""


class _WrongError(Exception):
    """The command line cannot be carried out."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _WrongError(message)


class DataLinkTwin:
    """The service."""

    def __init__(self, controller: Controller, bench: Bench) -> None:
        self._controller = controller
        self._bench = bench
        self._jobs: dict[str, Job] = {}
        self._number = 0
        self._ended: list[OutputStream] = []
        self._opener: StreamOpener | None = None
        self._due_ps: int | None = None

    def attach_streams(self, opener: StreamOpener) -> None:
        """Learn where streams are opened."""
        self._opener = opener

    def connect(self) -> FrameConversation:
        """Begin a conversation with one client."""
        return FrameConversation(self.execute)

    def reset_power(self) -> None:
        """Nothing to do: a program on the host does not lose power with the instrument."""

    def background_due_ps(self) -> int | None:
        """Return when tags are next handed on."""
        return self._due_ps

    def background(self) -> None:
        """Hand on what has come, and close what has ended."""
        now = self._controller.clock.now_ps()
        self._close_ended()
        for job in self._jobs.values():
            job.advance(now)
        self._due_ps = now + FLUSH_PS if any(job.running for job in self._jobs.values()) else None

    def execute(self, text: str) -> str:
        """Carry out one command line."""
        try:
            words = shlex.split(text)
            verb, rest = (words[0], words[1:]) if words else ("", [])
            match verb:
                case "start-save":
                    return self._start_save(rest)
                case "start-stream":
                    return self._start_stream(rest)
                case "status" | "stop":
                    return self._ask(rest, stop=verb == "stop")
                case "list":
                    return json.dumps([name for name, job in self._jobs.items() if job.running])
                case _:
                    return _error(f"unknown command {verb!r}")
        except (_WrongError, ValueError, TwinError) as error:
            return _error(str(error))

    def _start_save(self, words: list[str]) -> str:
        parser = self._start_parser("start-save")
        parser.add_argument("--filename", required=True)
        parser.add_argument("--format", choices=["bin", "ascii"], default="ascii")
        options = parser.parse_args(words)
        self._need_controller(options.address)
        return self._begin(
            Save(
                self._controller,
                options.channel,
                lambda data: self._bench.write_bytes(options.filename, data),
                with_index=options.with_ref_index,
                as_text=options.format == "ascii",
            )
        )

    def _start_stream(self, words: list[str]) -> str:
        parser = self._start_parser("start-stream")
        parser.add_argument("--stream-port", type=int)
        options = parser.parse_args(words)
        self._need_controller(options.address)
        if self._opener is None:
            msg = "this wire has no streams"
            raise _WrongError(msg)
        self._close_ended()  # it may be their port
        port = FIRST_STREAM_PORT + options.channel if options.stream_port is None else options.stream_port
        output = self._opener.open_stream(port)
        return self._begin(Stream(self._controller, options.channel, output, with_index=options.with_ref_index))

    def _start_parser(self, verb: str) -> _Parser:
        parser = _Parser(prog=verb, add_help=False)
        parser.add_argument("--address", required=True)
        parser.add_argument("--channel", type=int, required=True, choices=range(1, 5))
        parser.add_argument("--with-ref-index", action="store_true")
        return parser

    def _need_controller(self, address: str) -> None:
        if not self._controller.connected:
            msg = f"No connection to {address}"
            raise _WrongError(msg)

    def _begin(self, job: Job) -> str:
        self._number += 1
        name = str(self._number)
        ended = [old for old, each in self._jobs.items() if not each.running]
        for old in ended[:-ENDED_KEPT]:
            del self._jobs[old]
        self._jobs[name] = job
        self._due_ps = self._due_ps or job.start_ps + FLUSH_PS
        return json.dumps({"id": name})

    def _ask(self, words: list[str], *, stop: bool) -> str:
        parser = _Parser(prog="stop" if stop else "status", add_help=False)
        parser.add_argument("--id", required=True)
        name = parser.parse_args(words).id
        if name not in self._jobs:
            msg = f"no acquisition {name!r}"
            raise _WrongError(msg)
        job = self._jobs[name]
        now = self._controller.clock.now_ps()
        if stop and job.running:
            job.end(now)
            if isinstance(job, Stream):
                self._ended.append(job.output)
                self._due_ps = self._due_ps or now + FLUSH_PS
        job.advance(now)
        state = job.status(now)
        answer: dict[str, object] = {"id": name, "status": state} if stop else {"id": name, **state}
        if job.error:
            answer["error"] = {"description": job.error}
        return json.dumps(answer)

    def _close_ended(self) -> None:
        for output in self._ended:
            output.close()
        self._ended.clear()


def _error(description: str) -> str:
    return json.dumps({"error": {"description": description}})
