"""Twin of the SRS LDC501 laser diode controller.  Written from protocol sheet 02."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from qlab.errors import TwinError
from qlab.physics.source import LaserDiode
from qlab.twin.scpi import ScpiError, boolean, choice, command, integer, query
from qlab.twin.scpi_status import StatusGroup
from sim_devices.sources.ldc501_readings import Parameters
from sim_devices.sources.ldc501_scan import REFUSED, ScanningLaser
from sim_devices.sources.ldc501_settings import I_LIMIT, P_LIMIT, RANGES_MA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["LDC501Twin"]

LD_ON, CONSTANT_P, WIDE, SCANNING, STABLE, INTERLOCK, HIGH_RANGE = (1 << bit for bit in (0, 1, 2, 3, 4, 8, 9))
OPEN_CIRCUIT, TEC_OFF, T_MAX, T_MIN, T_SENSOR = (1 << bit for bit in range(11, 16))
BUFFER = 64  # [V2] bytes of a message
TERMINATORS = (b"", b"\r", b"\n", b"\r\n", b"\n\r")  # [V2] of `TERM`, by number
TERMINATOR_WORDS = ("NONE", "CR", "LF", "CRLF", "LFCR")
DEFAULT_END = b"\n"  # [INF] on TCP
FAULTS = ("interlock", "sensor_unplugged", "open_circuit", "tec_open", "thermal_runaway")


class LDC501Twin(ScanningLaser):
    """The controller: laser driver and trips."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(name, bench, parameters.tec_tau_s)
        p = self._parameters = parameters
        self._diode = LaserDiode(
            p.threshold_ma * 1e-3,
            p.slope_w_per_a,
            t0_k=p.t0_k,
            t1_k=p.t1_k,
            rollover_per_a=p.rollover_per_a,
            wavelength_nm=p.wavelength_nm,
            mode_spacing_nm=p.mode_spacing_nm,
            gain_nm_per_k=p.gain_nm_per_k,
            mode_nm_per_k=p.mode_nm_per_k,
        )
        self._power = bench.knob(name, "power_w")
        self._wavelength = bench.knob(name, "wavelength_nm", p.wavelength_nm)
        self.words = False
        self._range, self._end = "HIGH", DEFAULT_END
        self.limit_ma = min(self.limit_ma, self._most_ma())
        self._faults: set[str] = set()
        self.laser_status = StatusGroup()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> LDC501Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @property
    def _reply_end(self) -> bytes:
        return self._end

    def identify(self) -> str:
        """Answer `*IDN?`."""
        p = self._parameters
        return f"Stanford Research Systems,{p.model},s/n{p.serial},ver{p.firmware}"

    def answer(self, message: bytes):  # type: ignore[no-untyped-def]
        """Carry out one message, unless it is too long for the input buffer."""
        if len(message) > BUFFER:
            self.fail(ScpiError(-363))
            return
        self.follow_scan()
        self._watch_temperature()
        yield from super().answer(message)

    def on_reset(self) -> None:
        """`*RST` switches both outputs off."""
        super().on_reset()
        self._range = "HIGH"
        self.limit_ma = min(self.limit_ma, self._most_ma())
        self._switch(on=False)
        self.switch_tec(on=False)

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Open the interlock, unplug the sensor or the diode; or end it."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        (self._faults.add if active else self._faults.discard)(name)
        if name == "sensor_unplugged":
            self._sensor_out = active
            if active:
                self.switch_tec(on=False)
                self._trip(T_SENSOR)
        elif name in ("tec_open", "thermal_runaway"):
            self.tec_fault(name, active=active)
            self._watch_temperature()
        elif active:
            self._trip(INTERLOCK if name == "interlock" else OPEN_CIRCUIT)

    def peek(self) -> dict[str, object]:
        """Return the front panel's state."""
        return {"laser_on": self._on, "tec_on": self._tec_on, "current_ma": self._actual_ma(), "range": self._range}

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return the limits of the current, which range and limit set."""
        if name == "set_ma":
            return (0.0, float(self.limit_ma))
        return (0.0, self._most_ma()) if name == "limit_ma" else None

    def _most_ma(self) -> float:
        return RANGES_MA[self._parameters.model][self._range]

    def refresh_status(self) -> None:
        """Bring the condition registers up to date."""
        bits = (LD_ON | STABLE if self._on else 0) | (CONSTANT_P if self.mode == "CP" else 0)
        bits |= INTERLOCK if "interlock" in self._faults else 0
        bits |= HIGH_RANGE if self._range == "HIGH" else 0
        bits |= WIDE if self.bandwidth == "HIGH" else 0
        bits |= SCANNING if self.scanning else 0
        bits |= self.limits_reached() if self._on else 0
        for group, condition, rising, falling in (
            (self.laser_status, bits, self.positive, self.negative),
            (self.tec_status, self.tec_bits(), self.tec_positive, self.tec_negative),
        ):
            group.positive, group.negative = int(rising), int(falling)
            group.set_condition(condition)

    def status_byte(self) -> int:
        """Return TESB, LDSB, IDLE, MAV, ESB and MSS."""
        self.refresh_status()
        bits = 0x08 | (0x10 if self.reply_waits else 0) | (0x20 if self.esr & self.ese else 0)
        bits |= 0x01 if self.tec_status.event & self.tec_enabled else 0
        bits |= 0x02 if self.laser_status.event & self.enabled else 0
        return bits | (0x40 if bits & self.sre else 0)

    @command("ULOC", integer(0, 1))
    def _unlock(self, on: int) -> None:
        """Unlock the interface; it is never locked here."""

    @command("TERM", choice(*TERMINATOR_WORDS, "0", "1", "2", "3", "4"))
    def _terminator(self, said: str) -> None:
        self._end = TERMINATORS[int(said) if said.isdigit() else TERMINATOR_WORDS.index(said)]

    @query("TERM?")
    def _terminator_query(self) -> str:
        number = TERMINATORS.index(self._end)
        return self._token(TERMINATOR_WORDS[number], value=number)

    @query("ILOC?")
    def _interlock(self) -> str:
        closed = "interlock" not in self._faults
        return self._token("CLOSED" if closed else "OPEN", value=int(closed))

    @command("LDON", boolean)
    def _output(self, on: bool) -> None:
        tec_missing = self.trip_tec == "ON" and not self._tec_on
        if on and (self._faults.intersection(("interlock", "sensor_unplugged", "open_circuit")) or tec_missing):
            raise ScpiError(REFUSED, "refused")
        self._switch(on=on)

    @query("LDON?")
    def _output_query(self) -> str:
        return self._token("ON" if self._on else "OFF", value=int(self._on))

    @command("RNGE", choice("HIGH", "LOW", "0", "1"))
    def _set_range(self, said: str) -> None:
        if self._on:
            raise ScpiError(REFUSED, "refused")
        self._range = {"0": "LOW", "1": "HIGH"}.get(said, said)
        self.limit_ma = min(self.limit_ma, self._most_ma())
        self._limit_changed()

    def _switch(self, *, on: bool) -> None:
        self._on = on
        self._light_changed()
        self.refresh_status()

    def _watch_temperature(self) -> None:
        """Trip, where a limit that is armed has been reached, or the temperature has left its window."""
        if not self._on:
            return
        reached = self.limits_reached()
        power_armed = self.trip_power_cp if self.mode == "CP" else self.trip_power_cc
        if reached & I_LIMIT and self.trip_current == "ON":
            self._trip(I_LIMIT)
            return
        if reached & P_LIMIT and power_armed == "ON":
            self._trip(P_LIMIT)
            return
        if self.trip_tec == "ON" and not self._tec_on:
            self._trip(TEC_OFF)
        elif self.actual_c() > self.high_c:
            self._trip(T_MAX)
        elif self.actual_c() < self.low_c:
            self._trip(T_MIN)

    def _trip(self, bit: int) -> None:
        self.laser_status.event |= bit
        self._switch(on=False)
