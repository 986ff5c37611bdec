"""Twin of the ID900's tag download service ("DataLink Target Service"), a program on the host's side.

Text commands in ZeroMQ frames, JSON replies.  `start-save` writes the tags of one input, relative to the start of the
record window, as little-endian 64-bit picoseconds (`bin`) or as text (`ascii`).
"""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

if TYPE_CHECKING:
    from typing import Protocol

    from qlab.clock import Clock
    from qlab.twin.bench import Bench
    from sim_devices.taggers.id900_players import Player
    from sim_devices.taggers.id900_signals import Signals

    class Controller(Protocol):
        """The time controller that the service reads from."""

        clock: Clock
        signals: Signals

        @property
        def record(self) -> Player:
            """The record window."""
            ...


__all__ = ["DataLinkTwin"]

FLUSH_PS = 250_000_000_000
"""[INF] Tags reach the file four times a second."""


class _WrongError(Exception):
    """The command line cannot be read."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _WrongError(message)


@dataclass(slots=True)
class _Save:
    """One running download."""

    channel: int
    path: str
    ascii: bool
    with_index: bool
    done_ps: int
    count: int = 0
    error: str = ""
    running: bool = True


class DataLinkTwin:
    """The service."""

    def __init__(self, controller: Controller, bench: Bench) -> None:
        self._controller = controller
        self._bench = bench
        self._saves: dict[str, _Save] = {}
        self._number = 0
        self._due_ps: int | None = None

    def connect(self) -> DataLinkConversation:
        """Begin a conversation with one client."""
        return DataLinkConversation(self)

    def reset_power(self) -> None:
        """Nothing to do: a program on the host does not lose power with the instrument."""

    def background_due_ps(self) -> int | None:
        """Return when tags are next written."""
        return self._due_ps

    def background(self) -> None:
        """Write what has come."""
        now = self._controller.clock.now_ps()
        for save in self._saves.values():
            self._write(save, now)
        running = any(save.running for save in self._saves.values())
        self._due_ps = now + FLUSH_PS if running else None

    def execute(self, text: str) -> str:
        """Carry out one command line."""
        try:
            words = shlex.split(text)
            verb, rest = (words[0], words[1:]) if words else ("", [])
            if verb == "start-save":
                return self._start(rest)
            if verb == "list":
                return json.dumps([number for number, save in self._saves.items() if save.running])
            if verb in ("status", "stop"):
                return self._ask(rest, stop=verb == "stop")
            return json.dumps({"error": f"unknown command {verb!r}"})
        except (_WrongError, ValueError) as error:
            return json.dumps({"error": str(error)})

    def _start(self, words: list[str]) -> str:
        parser = _Parser(prog="start-save", add_help=False)
        parser.add_argument("--address", required=True)
        parser.add_argument("--channel", type=int, required=True, choices=range(1, 5))
        parser.add_argument("--filename", required=True)
        parser.add_argument("--format", choices=["bin", "ascii"], default="ascii")
        parser.add_argument("--with-ref-index", action="store_true")
        options = parser.parse_args(words)
        now = self._controller.clock.now_ps()
        self._number += 1
        name = str(self._number)
        save = _Save(options.channel, options.filename, options.format == "ascii", options.with_ref_index, now)
        self._append(save, b"")
        self._saves[name] = save
        self._due_ps = self._due_ps or now + FLUSH_PS
        return json.dumps({"id": name})

    def _ask(self, words: list[str], *, stop: bool) -> str:
        parser = _Parser(prog="status", add_help=False)
        parser.add_argument("--id", required=True)
        name = parser.parse_args(words).id
        if name not in self._saves:
            return json.dumps({"error": f"no acquisition {name!r}"})
        save = self._saves[name]
        self._write(save, self._controller.clock.now_ps())
        if stop:
            save.running = False
        state = "running" if save.running else "stopped"
        status: dict[str, object] = {"id": name, "status": state, "acquisitions_count": save.count}  # [INF]
        if save.error:
            status["error"] = save.error
        return json.dumps(status)

    def _write(self, save: _Save, now_ps: int) -> None:
        if not save.running or now_ps <= save.done_ps:
            return
        for window in self._controller.record.windows(save.done_ps, now_ps):
            start, stop = max(window.start_ps, save.done_ps), min(window.stop_ps, now_ps)
            t = self._controller.signals.events(f"INPU{save.channel}", start, stop) - window.start_ps
            save.count += t.size
            if save.ascii:
                data = "".join(f"{x};{window.index}\n" if save.with_index else f"{x}\n" for x in t.tolist()).encode()
            elif save.with_index:
                data = np.column_stack([t, np.full(t.size, window.index)]).astype("<u8").tobytes()
            else:
                data = t.astype("<u8").tobytes()
            self._append(save, data)
        save.done_ps = now_ps

    def _append(self, save: _Save, data: bytes) -> None:
        try:
            self._bench.write_bytes(save.path, data)
        except OSError as error:
            save.error = f"cannot write {save.path}: {error.strerror or error}"
            save.running = False


class DataLinkConversation:
    """One client of the service."""

    def __init__(self, service: DataLinkTwin) -> None:
        self._service = service

    def receive(self, data: bytes) -> bytes:
        """Answer one frame."""
        return self._service.execute(data.decode("utf-8", "replace")).encode()

    def due_ps(self) -> int | None:
        """Return None: files are written in the background."""
        return None

    def wake(self) -> bytes:
        """Say nothing."""
        return b""

    def close(self) -> None:
        """Forget the client."""
