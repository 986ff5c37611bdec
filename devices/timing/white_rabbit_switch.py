"""White Rabbit switch: the clock offset of its slave port and its own opinion of itself, by SNMP v2c.

UDP 161, community `public`; nothing is ever set.  All values come in one datagram.  The switch looks at its servo every 5 s,
so the numbers may be as old as that.
"""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from ophyd import Component as Cpt

from devices.base import Instrument, InstrumentSettings
from devices.signals import SoftSignal
from devices.timing.snmp import GET, GET_BULK, Missing, encode_request, parse_reply
from devices.timing.white_rabbit_health import ServoWatch
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from devices.timing.snmp import Reply, Value
    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["WhiteRabbitSwitch"]

BASE = "1.3.6.1.4.1.96.100"  # [V2]
DESCRIPTION = "1.3.6.1.2.1.1.1.0"
MAIN_STATUS = f"{BASE}.6.1.1.0"
ROW = "1"
"""[INF] The slave port's row in the servo's table."""
OBJECTS = {
    "status": f"{BASE}.6.1.1.0",
    "os_status": f"{BASE}.6.1.2.0",
    "timing_status": f"{BASE}.6.1.3.0",
    "networking_status": f"{BASE}.6.1.4.0",
    "tai_s": f"{BASE}.7.1.1.1.0",
    "state": f"{BASE}.7.5.1.6.{ROW}",
    "tracking": f"{BASE}.7.5.1.8.{ROW}",
    "offset_ps": f"{BASE}.7.5.1.10.{ROW}",
    "round_trip_ps": f"{BASE}.7.5.1.13.{ROW}",
    "link_length_m": f"{BASE}.7.5.1.14.{ROW}",
    "updates": f"{BASE}.7.5.1.15.{ROW}",
    "bad_states": f"{BASE}.7.5.1.20.{ROW}",
    "bad_offsets": f"{BASE}.7.5.1.21.{ROW}",
    "bad_round_trips": f"{BASE}.7.5.1.22.{ROW}",
}
"""[V1] As WR-SWITCH-MIB numbers them."""
WORDS = {0: "not known", 1: "ok", 2: "error", 3: "warning", 4: "warning", 5: "a bug of the switch", 6: "ok"}
"""[INF] What the status numbers mean."""
WELL, TRACKING = (1, 6), 2
REFRESH_S, POLL_S = 5.0, 2.0
REPETITIONS = 20


def _unwrapped(number: int) -> float:
    """Return the signed number behind a Counter64."""
    return float(number - 2**64 if number >= 2**63 else number)


class WhiteRabbitSwitch(Instrument):
    """The switch; role `qlab.roles.Clock`."""

    identity = r"^White Rabbit switch, "
    twin = "sim_devices.timing.white_rabbit_switch.WhiteRabbitSwitchTwin"
    wire = "udp"
    usual_addresses = ("udp://HOST:161",)
    warm_up_s = 30.0
    lock_timeout_s: ClassVar[float] = 300.0

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        community: str = "public"
        offset_limit_ps: float = 500.0

    status = Cpt(SoftSignal, initial=0, kind="normal")
    os_status = Cpt(SoftSignal, initial=0, kind="omitted")
    timing_status = Cpt(SoftSignal, initial=0, kind="omitted")
    networking_status = Cpt(SoftSignal, initial=0, kind="omitted")
    tai_s = Cpt(SoftSignal, initial=0, units="s", kind="normal")
    state = Cpt(SoftSignal, initial="", kind="normal")
    tracking = Cpt(SoftSignal, initial=0, kind="normal")
    offset_ps = Cpt(SoftSignal, initial=math.nan, units="ps", kind="hinted")
    round_trip_ps = Cpt(SoftSignal, initial=math.nan, units="ps", kind="normal")
    link_length_m = Cpt(SoftSignal, initial=0, units="m", kind="normal")
    updates = Cpt(SoftSignal, initial=0, kind="normal")
    bad_states = Cpt(SoftSignal, initial=0, kind="normal")
    bad_offsets = Cpt(SoftSignal, initial=0, kind="normal")
    bad_round_trips = Cpt(SoftSignal, initial=0, kind="normal")

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._requests = count(1)
        self._watch = ServoWatch(interval_s=2.0 * REFRESH_S)

    def query_identity(self, link: Link) -> str:
        """Return what the agent says of its system, if it has the switch's objects."""
        values = dict(self._request(link, GET, [DESCRIPTION, MAIN_STATUS], retry=False).values)
        known = isinstance(values.get(MAIN_STATUS), int)
        return f"{'White Rabbit switch' if known else 'SNMP agent'}, {values.get(DESCRIPTION)}"

    @property
    def locked(self) -> bool:
        """Whether it tracked its master's phase when it was asked last."""
        return bool(self.state.get() == "TRACK_PHASE" and self.tracking.get() == TRACKING and self._timing_ok)

    @property
    def offset_s(self) -> float | None:
        """Its time against its master's, as last fetched."""
        offset_ps = self.offset_ps.get()
        return None if math.isnan(offset_ps) else offset_ps * 1e-12

    @property
    def _timing_ok(self) -> bool:
        return self.timing_status.get() in WELL

    def wait_for_lock(self) -> WorkerStatus:
        """Wait until it tracks its master's phase."""
        return self.in_thread("lock", self._wait_for_lock)

    def measure(self) -> None:
        """Fetch all values in one datagram."""
        values = dict(self._request(self.link, GET, list(OBJECTS.values())).values)
        for name, oid in OBJECTS.items():
            found = values.get(oid)
            if isinstance(found, Missing) or not isinstance(found, str if name == "state" else int):
                self.link.distrust()
                what, shown = f"the switch has no {name}", found.why if isinstance(found, Missing) else repr(found)
                raise BadReplyError(what, device=self.name, command=oid, found=shown)
            signed = name in ("offset_ps", "round_trip_ps")
            getattr(self, name).remember(_unwrapped(int(found)) if signed else found)
        self._watch.see(self.updates.get(), self.clock.now_s())

    def walk(self, base: str = BASE) -> dict[str, Value]:
        """Return all objects below an identifier, for a person; blocks for the wire."""
        found: dict[str, Value] = {}
        last = base
        while True:
            for oid, value in self._request(self.link, GET_BULK, [last]).values:
                if not oid.startswith(f"{base}.") or isinstance(value, Missing) or oid in found:
                    return found
                found[oid] = value
                last = oid
            if last == base:
                return found

    def check_health(self) -> list[str]:
        """Return what the switch complains of, and what is wrong with its servo."""
        self.measure()
        parts = {"the operating system": self.os_status, "the network": self.networking_status}
        bad = [f"{what}: {WORDS.get(s.get(), s.get())}" for what, s in parts.items() if s.get() not in WELL]
        servo = self._watch.complaints(self.state.get(), self.offset_ps.get(), self.settings.offset_limit_ps)
        if not servo and not self._timing_ok:
            servo = [f"the timing: {WORDS.get(self.timing_status.get(), self.timing_status.get())}"]
        return servo + bad

    def _wait_for_lock(self) -> None:
        deadline_s = self.clock.now_s() + self.lock_timeout_s
        self.measure()
        while not self.locked:
            if self.clock.now_s() > deadline_s:
                what = f"it does not track its master after {self.lock_timeout_s:g} s"
                found, hint = "; ".join(self.check_health()), "is the fibre to the master connected?"
                raise InstrumentError(what, device=self.name, found=found, expected="TRACK_PHASE", hint=hint)
            self.wait_s(POLL_S)
            self.measure()

    def _request(self, link: Link, kind: int, oids: list[str], *, retry: bool = True) -> Reply:
        number = next(self._requests) % 2**31
        command = encode_request(
            kind, number, oids, community=self.settings.community, repetitions=REPETITIONS if kind == GET_BULK else 0
        )
        reply: list[Reply] = []

        def read() -> bytes:
            data = link.read_until()
            try:
                reply.append(parse_reply(data))
            except ValueError as error:
                what = f"the reply is no SNMP: {error}"
                raise BadReplyError(what, device=self.name, command=command, found=data) from error
            if reply[-1].request != number:
                what = "the reply belongs to another request"
                raise BadReplyError(what, device=self.name, command=command, expected=f"request {number}")
            return data

        link.query(command, read=read, retry=retry)
        if reply[-1].error:
            what = f"the agent reports error {reply[-1].error}"
            raise InstrumentError(what, device=self.name, command=", ".join(oids[:2]))
        return reply[-1]
