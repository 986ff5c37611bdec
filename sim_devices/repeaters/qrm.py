"""Twin of QRM, a repeater module with memory: the command table of protocol sheet 22, of which it is the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.errors import TwinError
from qlab.twin.hislip import HislipPort
from qlab.twin.scpi import ScpiError, command, integer, query
from sim_devices.repeaters.qrm_events import EventType
from sim_devices.repeaters.qrm_module import Module
from sim_devices.repeaters.qrm_parameters import Parameters
from sim_devices.repeaters.qrm_programme import Programme
from sim_devices.repeaters.qrm_slots import device_error
from sim_devices.repeaters.qrm_time_table import TimeTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Twin
    from qlab.twin.scpi import Reply

__all__ = ["Parameters", "QRMTwin"]

FAULTS = {"clock_lost": 1, "too_warm": 2, "laser_unlocked": 0, "phase_lost": 0}
"""Device faults, with the flag that they set in event records."""
ATTEMPTING, STORED, SWAPPING, RUNNING, EVENTS, LOCKED = 1 << 4, 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
TIME, TEMPERATURE, LASER, PHASE, POOR, DISCARDED, OVERFLOW, NO_PEER = (1 << bit for bit in (2, 4, 5, 6, 9, 10, 11, 12))
TOO_WARM_K = 20.0
ILLEGAL_WORD, BAD_WORD = -224, -141
"""[design] A word that is none of those that a command knows is bad character data here."""


class QRMTwin(TimeTable):
    """The module."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    error_queue_length = 32

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = parameters
        self.module = Module(name, bench, parameters, self.local_ps)
        self.programme = Programme(self.module)
        self._faults: set[str] = set()
        self._look_again: Callable[[], None] | None = None
        self._overflow_told = False
        self._stored: dict[int, list[tuple[object, ...]]] = {}
        self.reference = bench.oscillator(name)
        self.tick_hz, self.internal_clock_error = parameters.tick_hz, parameters.internal_clock_error
        self.synchronise(self.clock.now_ps())

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> QRMTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @classmethod
    def entanglement_links(cls, parameters: Parameters) -> Sequence[str]:
        """Return the links that the lab file's paths may begin at."""
        return [str(k) for k in range(1, parameters.links + 1)]

    def identify(self) -> str:
        """Answer `*IDN?`."""
        p = self._parameters
        return f"{p.maker},QRM-{p.qubits}Q,{p.serial},{p.firmware}"

    # Life.

    def _scpi_call(self, header: str, tokens: list[str], arguments: list[str]) -> Reply:
        self.module.now_ps()  # what was over before is done before
        if self._overflow_told is not self.module.events.overflowed:
            self._overflow_told = self.module.events.overflowed
            if self._overflow_told:
                self.fail(device_error(106))
        try:
            return super()._scpi_call(header, tokens, arguments)
        except ScpiError as error:
            raise (ScpiError(BAD_WORD) if error.code == ILLEGAL_WORD else error) from error

    def attach_alarm(self, look_again: Callable[[], None]) -> None:
        """Learn whom to tell that another module began to try, or that somebody spoke through another port."""
        self._look_again = look_again
        for link in self.module.links.values():
            link.end.look_again = look_again

    def ports(self) -> Mapping[str, Twin]:
        """Return the raw socket, and HiSLIP beside it."""
        return {"scpi": self, "hislip": HislipPort(self, self.status_byte, self._spoken)}

    def _spoken(self) -> None:
        if self._look_again is not None:
            self._look_again()

    def background_due_ps(self) -> int | None:
        """Return when something in the module will be over."""
        return self.module.due_ps()

    def background(self) -> None:
        """Do what is over."""
        self.module.now_ps()

    def on_reset(self) -> None:
        """Give up qubits, links and programme; clock and peers stay as they are."""
        self.programme.clear()
        self.module.reset()
        self.external = True
        self.make_ready()

    def reset_power(self) -> None:
        """Power was cycled: nothing is stored, and the clock is set anew."""
        super().reset_power()
        self.synchronise(self.clock.now_ps())

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        states: dict[str, object] = {f"qubit{n}": self.module.state(n) for n in self.module.slots}
        return states | {f"link{k}": self.module.link_state(link) for k, link in self.module.links.items()}

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Lose the clock, the laser's or the phase lock, or warm the cryostat up."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        now_ps = self.module.now_ps()
        fresh = active and name not in self._faults
        (self._faults.add if active else self._faults.discard)(name)
        self.reference_good = "clock_lost" not in self._faults
        self.module.flags = sum({FAULTS[each] for each in self._faults})
        if name == "clock_lost" and fresh:
            self.module.record(EventType.LOSS_OF_LOCK, now_ps)
        if fresh:
            for link in self.module.links.values():
                self.module.abort(link, kind=EventType.SYNC_FAIL if name == "clock_lost" else EventType.HERALD_FAIL)
        self.make_ready()

    def dark(self) -> bool:
        """Return whether a laser or phase lock is lost."""
        return bool(self._faults.intersection(("laser_unlocked", "phase_lost")))

    def make_ready(self) -> None:
        """Tell the links whether they can be used."""
        well = self.clock_locked() and not self._faults.difference({"clock_lost"})
        for link in self.module.links.values():
            link.end.ready = link.enabled and well

    def refresh_status(self) -> None:
        """Bring the condition registers up to date."""
        m, now_ps = self.module, self.module.now_ps()
        pairs = [(slot, slot.pair) for slot in m.slots.values() if slot.pair is not None]
        poor = any(p.fidelity(now_ps, slot.t2_s) < m.links[p.link].least_fidelity for slot, p in pairs)
        alone = any(link.enabled and m.link_state(link) == "SYNC" for link in m.links.values())
        bits = {
            ATTEMPTING: any(link.end.burst is not None for link in m.links.values()),
            STORED: bool(pairs),
            SWAPPING: now_ps < self.swap_until_ps,
            RUNNING: self.programme.running,
            EVENTS: len(m.events) > 0,
            LOCKED: self.clock_locked(),
        }
        self.status["OPERation"].set_condition(sum(bit for bit, on in bits.items() if on))
        bits = {
            TIME: not self.clock_locked(),
            TEMPERATURE: "too_warm" in self._faults,
            LASER: "laser_unlocked" in self._faults,
            PHASE: "phase_lost" in self._faults,
            POOR: poor,
            DISCARDED: m.discarded,
            OVERFLOW: m.events.overflowed,
            NO_PEER: alone,
        }
        m.discarded = False  # a discarded pair is an event, not a state
        self.status["QUEStionable"].set_condition(sum(bit for bit, on in bits.items() if on))

    # Housekeeping.

    @query("*OPT?")
    def _options(self) -> str:
        p = self._parameters
        return f"QUB{p.qubits},LNK{p.links},TICK{p.tick_hz / 1e3:.0f}K"

    @command("*SAV", integer(0, 9))
    def _save(self, place: int) -> None:
        fields = [
            (x.enabled, x.kind, x.basis, x.most, x.window_s, x.cut_off_s, x.least_fidelity)
            for x in self.module.links.values()
        ]
        self._stored[place] = list(fields)

    @command("*RCL", integer(0, 9))
    def _recall(self, place: int) -> None:
        if place not in self._stored:
            raise ScpiError(-221)
        for link, fields in zip(self.module.links.values(), self._stored[place], strict=True):
            self.module.abort(link)
            for name, value in zip(
                ("enabled", "kind", "basis", "most", "window_s", "cut_off_s", "least_fidelity"), fields, strict=True
            ):
                setattr(link, name, value)
        self.make_ready()

    @query("CRYO:TEMPerature?")
    def _temperature(self) -> float:
        return TOO_WARM_K if "too_warm" in self._faults else self._parameters.temperature_k

    @query("LASer#:LOCK?")
    def _laser_lock(self, k: int) -> bool:
        self.module.link(k)
        return "laser_unlocked" not in self._faults

    @query("LASer#:POWer?")
    def _laser_power(self, k: int) -> float:
        self.module.link(k)
        return self._parameters.laser_power_w

    @query("PHASe:LOCK?")
    def _phase_lock(self) -> bool:
        return "phase_lost" not in self._faults
