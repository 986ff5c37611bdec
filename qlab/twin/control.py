r"""The control channel: arm faults, switch power, look at front panels and step the time of a running lab.

It is a TCP port of its own on 127.0.0.1, never an instrument's port.  A request is one line of JSON with `op`, an answer
one line with `"ok": true` and the result, or `"ok": false` and `error`.

=========  ===================================================================  =================================
op         request                                                              result
=========  ===================================================================  =================================
`list`                                                                          state of every mount by name
`fault`    `instrument`, `kind`, and the fields of `WireFault`, or of the       armed wire faults
           instrument's own fault
`clear`    `instrument` (all without), `kind` (all without)                     armed wire faults
`power`    `instrument`, `state` ("on", "off", "cycle"), `boot_s`               state of the mount
`peek`     `instrument`                                                         front panel
`now`                                                                           lab time in ps
`step`     `seconds`                                                            lab time
`meet`     `name`, `parties`, `until_ps`                                        lab time in ps, when it is that
`part`     `name`                                                               lab time in ps
`world`    what the lab's world understands                                     what it answers
=========  ===================================================================  =================================
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from qlab.errors import QlabError, TwinError
from qlab.twin.faults import WIRE_FAULTS, WireFault
from qlab.twin.meeting import Meeting
from qlab.twin.mount_tcp import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from qlab.clock import Clock
    from qlab.twin.host import TwinHost
    from qlab.twin.mount import Mount

__all__ = ["ControlServer"]

_LONGEST_LINE = 1 << 20
_WIRE_FAULT = TypeAdapter(WireFault)
_FIELDS = {field.name for field in dataclasses.fields(WireFault)}


class ControlServer:
    """Serves the control channel in the loop of a twin host.

    Parameters
    ----------
    host:
        The host whose mounts are controlled.
    port:
        Port number; 0 takes any free one.
    world:
        Carries out the op `world`: takes the request without `op`, returns what JSON can say, raises `QlabError`.
    """

    def __init__(
        self,
        host: TwinHost,
        *,
        port: int = 0,
        world: Callable[[Mapping[str, object]], object] | None = None,
    ) -> None:
        self.port = port
        self._host = host
        self._world = world
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._stepping = asyncio.Lock()
        self._meeting = Meeting(host.clock)
        self._met: dict[asyncio.Task[None] | None, set[str]] = {}
        self._ops: dict[str, Callable[[dict[str, object]], Awaitable[object]]] = {
            "list": self._list,
            "fault": self._fault,
            "clear": self._clear,
            "power": self._power,
            "peek": self._peek,
            "now": self._now,
            "step": self._step,
            "meet": self._meet,
            "part": self._part,
            "world": self._ask_world,
        }
        host.on_close(self.close)
        host.run(self._open)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return (LOOPBACK, self.port)

    def close(self) -> None:
        """Stop serving; the host does it when it closes."""
        self._host.run(self._close)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, limit=_LONGEST_LINE)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await asyncio.sleep(0)  # for the transports to let go of their sockets

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line), default=str).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # the client has gone, has sent an endless line, or the lab closes
        finally:
            writer.transport.abort()
            if task is not None:
                self._clients.discard(task)
            for name in self._met.pop(task, ()):  # who has hung up keeps nobody waiting
                await self._meeting.part(name)

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except ValueError as exc:
            return {"ok": False, "error": f"the request is no line of JSON: {exc}"}
        if not isinstance(request, dict):
            return {"ok": False, "error": "the request is no JSON object with an op"}
        op = request.pop("op", None)
        serve = self._ops.get(op) if isinstance(op, str) else None
        if serve is None:
            return {"ok": False, "error": f"unknown op {op!r}; there are {', '.join(self._ops)}"}
        try:
            result = await serve(request)
        except (QlabError, TypeError, ValueError) as exc:
            return {"ok": False, "error": f"{op}: {exc}"}
        return {"ok": True, "result": result}

    def _mount(self, request: dict[str, object]) -> Mount:
        name = request.pop("instrument", None)
        mount = self._host.mounts.get(name) if isinstance(name, str) else None
        if mount is None:
            known = ", ".join(self._host.mounts) or "none at all"
            msg = f"no twin is called {name!r}; there are {known}"
            raise TwinError(msg)
        return mount

    async def _list(self, request: dict[str, object]) -> object:
        _no_more(request)
        return {name: _state(mount) for name, mount in self._host.mounts.items()}

    async def _fault(self, request: dict[str, object]) -> object:
        mount = self._mount(request)
        kind = request.pop("kind", None)
        if kind in WIRE_FAULTS:
            if "probability" in request:
                request.setdefault("count", None)
            if unknown := request.keys() - _FIELDS:
                msg = f"{kind} knows no {', '.join(sorted(unknown))}; a wire fault has {', '.join(sorted(_FIELDS))}"
                raise TwinError(msg)
            mount.faults.arm(_wire_fault(kind, request))
        else:
            device_fault = getattr(mount.twin, "device_fault", None)
            if not callable(device_fault):
                msg = f"{mount.name} has no fault {kind!r}; wire faults are {', '.join(WIRE_FAULTS)}"
                raise TwinError(msg)
            with self._host.lock:
                inspect.signature(device_fault).bind(kind, **request)
                device_fault(kind, **request)
                mount.rearm()
        await self._host.settle()
        return mount.faults.describe()

    async def _clear(self, request: dict[str, object]) -> object:
        mounts = [self._mount(request)] if "instrument" in request else list(self._host.mounts.values())
        kind = request.pop("kind", None)
        _no_more(request)
        if kind is not None and kind not in WIRE_FAULTS:
            msg = f"no wire fault {kind!r}; there are {', '.join(WIRE_FAULTS)}"
            raise TwinError(msg)
        for mount in mounts:
            mount.faults.clear(kind)
        await self._host.settle()
        return {mount.name: mount.faults.describe() for mount in mounts}

    async def _power(self, request: dict[str, object]) -> object:
        mount = self._mount(request)
        state, boot_s = request.pop("state", None), request.pop("boot_s", 0.0)
        _no_more(request)
        if state not in ("on", "off", "cycle") or not isinstance(boot_s, int | float) or not boot_s >= 0:
            msg = f'expected state "on", "off" or "cycle" and boot_s of at least 0, found {state!r} and {boot_s!r}'
            raise TwinError(msg)
        if state in ("off", "cycle"):
            mount.power_off()
            await self._host.settle()
        if state in ("on", "cycle"):
            mount.power_on(boot_s)
            await self._host.settle()
        return _state(mount)

    async def _peek(self, request: dict[str, object]) -> object:
        mount = self._mount(request)
        _no_more(request)
        peek = getattr(mount.twin, "peek", None)
        if not callable(peek):
            msg = f"{mount.name} does not show its front panel"
            raise TwinError(msg)
        with self._host.lock:
            return peek()

    async def _now(self, request: dict[str, object]) -> object:
        _no_more(request)
        return self._host.clock.now_ps()

    async def _meet(self, request: dict[str, object]) -> object:
        name, parties, until_ps = (request.pop(key, None) for key in ("name", "parties", "until_ps"))
        _no_more(request)
        self._stepped_clock()
        if not isinstance(name, str) or not isinstance(parties, int) or not isinstance(until_ps, int) or parties < 1:
            msg = f"expected a name, parties of at least 1 and until_ps, found {name!r}, {parties!r} and {until_ps!r}"
            raise TwinError(msg)
        self._met.setdefault(asyncio.current_task(), set()).add(name)
        await self._meeting.wait(name, parties, until_ps)
        return self._host.clock.now_ps()

    async def _part(self, request: dict[str, object]) -> object:
        name = request.pop("name", None)
        _no_more(request)
        if not isinstance(name, str):
            msg = f"expected a name, found {name!r}"
            raise TwinError(msg)
        await self._meeting.part(name)
        return self._host.clock.now_ps()

    def _stepped_clock(self) -> Clock:
        clock = self._host.clock
        if clock.mode != "stepped":
            msg = f"the lab's time is {clock.mode} and runs by itself; only stepped time can be stepped"
            raise TwinError(msg)
        return clock

    async def _step(self, request: dict[str, object]) -> object:
        seconds = request.pop("seconds", None)
        _no_more(request)
        clock = self._stepped_clock()
        if not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            msg = f"expected seconds of at least 0, found {seconds!r}"
            raise TwinError(msg)
        async with self._stepping:  # of two that waited at once one could be left behind when the other has ended
            await clock.sleep_async(seconds)
        return {"now_ps": clock.now_ps()}

    async def _ask_world(self, request: dict[str, object]) -> object:
        if self._world is None:
            msg = "this lab has no world to talk to"
            raise TwinError(msg)
        with self._host.lock:
            return self._world(request)


def _wire_fault(kind: object, fields: dict[str, object]) -> WireFault:
    try:
        return _WIRE_FAULT.validate_python({"kind": kind, **fields})
    except ValidationError as exc:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors())
        msg = f"wire fault {kind}: {wrong}"
        raise TwinError(msg) from exc


def _no_more(request: dict[str, object]) -> None:
    if request:
        msg = f"unknown field {', '.join(sorted(request))}"
        raise TwinError(msg)


def _state(mount: Mount) -> dict[str, object]:
    return {
        "address": mount.address,
        "twin": type(mount.twin).__name__,
        "powered": mount.powered,
        "reachable": mount.reachable,
        "connections": mount.connections,
        "received": mount.received,
        "emitted": mount.emitted,
        "faults": mount.faults.describe(),
    }
