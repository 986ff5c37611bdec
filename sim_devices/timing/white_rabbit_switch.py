"""Twin of a White Rabbit switch: its SNMP v2c agent on UDP.  Written from protocol sheet 21.

Types of the objects and the numbers of the status words are those of WR-SWITCH-MIB.  The agent looks at the servo every 5 s
at most and answers from memory in between; the clock offset is a Counter64 there, so that a negative one wraps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.conversation import Dialogue
from qlab.twin.framing import MessageFramer
from sim_devices.timing.ber import Oid, counter32, counter64, integer, octets, oid_value, ticks, unsigned
from sim_devices.timing.snmp_agent import Agent
from sim_devices.timing.white_rabbit_fibre import FIXED_DELAYS, FibreParameters
from sim_devices.timing.white_rabbit_flight import STATE_NUMBERS
from sim_devices.timing.white_rabbit_servo import FAULTS, Servo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script

__all__ = ["WhiteRabbitSwitchTwin"]

BASE: Oid = (1, 3, 6, 1, 4, 1, 96, 100)
SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)
TAI_S = 1767225600 + 37
"""Where the lab's time begins, 1 January 2026, in TAI."""
REFRESH_S = 5  # [V1] how long the agent answers from memory
OK, ERROR, WARNING = 1, 2, 3  # [INF] of the status words
NOT_TRACKING, TRACKING = 1, 2  # [V1]
OWN_FAULTS = ("os_error", "networking_warning")


class Parameters(FibreParameters):
    """The `twin:` section: the switch."""

    community: str = "public"
    description: str = Field("Linux wrs 3.16.38 armv5tejl", description="[INF] sysDescr")
    system_name: str = "wrs"


class WhiteRabbitSwitchTwin:
    """The switch and its slave port."""

    wire: ClassVar[Literal["tcp", "serial", "zmq", "udp"]] = "udp"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self._clock = bench.clock
        self._parameters = parameters
        self._faults: set[str] = set()
        self._began_ps = bench.clock.now_ps()
        self._kept: dict[Oid, bytes] = {}
        self._kept_ps: int | None = None
        self.servo = Servo(name, bench, parameters)
        self.agent = Agent(parameters.community, self._objects())

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> WhiteRabbitSwitchTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return Dialogue(self, MessageFramer(), self._clock)

    def identify(self) -> str:
        """Return how it names itself."""
        return self._parameters.description

    def reset_power(self) -> None:
        """Begin without time."""
        self._began_ps, self._kept_ps = self._clock.now_ps(), None
        self.servo.reset()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Let link, lock, servo, operating system or network fail, or the master step; or mend it."""
        if name in OWN_FAULTS:
            (self._faults.add if active else self._faults.discard)(name)
        elif name in FAULTS:
            self.servo.fault(name, active=active)
        else:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join((*OWN_FAULTS, *FAULTS))}"
            raise TwinError(msg)

    def peek(self) -> dict[str, object]:
        """Return state, offset and true time error."""
        return {"state": self.servo.state, "offset_ps": self.servo.offset_ps, "time_error_ps": self.servo.time_error_ps}

    def answer(self, message: bytes) -> Script:
        """Answer one datagram."""
        yield self.agent.answer(message)

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Answer one datagram with a general error."""
        del kind, text
        return self.agent.refuse(message)

    def _objects(self) -> dict[Oid, Callable[[], bytes]]:
        """Return all objects; those of the servo, row 1 of their table, come from memory."""
        p = self._parameters
        live: dict[Oid, Callable[[], bytes]] = {
            (*SYSTEM, 1, 0): lambda: octets(p.description),
            (*SYSTEM, 2, 0): lambda: oid_value(BASE),
            (*SYSTEM, 3, 0): lambda: ticks((self._clock.now_ps() - self._began_ps) / PS_PER_S),
            (*SYSTEM, 5, 0): lambda: octets(p.system_name),
            (*BASE, 7, 1, 1, 1, 0): lambda: counter64(self._tai_s()),
        }

        def remembered(oid: Oid) -> Callable[[], bytes]:
            return lambda: self._remember()[oid]

        return live | {oid: remembered(oid) for oid in self._look()}

    def _remember(self) -> dict[Oid, bytes]:
        now = self._clock.now_ps()
        if self._kept_ps is None or now - self._kept_ps >= REFRESH_S * PS_PER_S:
            self._kept, self._kept_ps = self._look(), now
        return self._kept

    def _look(self) -> dict[Oid, bytes]:
        """Return servo and status as they are now; [V1] the identifiers."""
        servo, now = self.servo, self._clock.now_ps()
        state, offset = servo.state, servo.offset_ps
        updates, bad_states, bad_offsets = servo.count()
        tracks = state == "TRACK_PHASE"
        os_, networking = ERROR if "os_error" in self._faults else OK, WARNING if self._warns() else OK
        timing = OK if tracks and servo.link_up else ERROR
        main = next((word for word in (ERROR, WARNING) if word in (os_, timing, networking)), OK)
        servo_row = {
            6: octets(state),
            7: integer(STATE_NUMBERS[state]),
            8: integer(TRACKING if tracks else NOT_TRACKING),
            10: counter64(offset),
            11: integer(max(-(2**31), min(offset, 2**31 - 1))),
            13: counter64(servo.fibre.cable_ps(now) + sum(FIXED_DELAYS)),
            14: unsigned(round(self._parameters.length_m)),
            15: counter32(updates),
            **{16 + n: integer(delay) for n, delay in enumerate(FIXED_DELAYS)},
            20: counter32(bad_states),
            21: counter32(bad_offsets),
            22: counter32(0),  # the fibre never jumps
        }
        status = {(*BASE, 6, 1, n, 0): integer(word) for n, word in enumerate((main, os_, timing, networking), 1)}
        return status | {(*BASE, 7, 5, 1, column, 1): value for column, value in servo_row.items()}

    def _warns(self) -> bool:
        return "networking_warning" in self._faults or not self.servo.link_up

    def _tai_s(self) -> int:
        return TAI_S + (self._clock.now_ps() + round(self.servo.time_error_ps)) // PS_PER_S
