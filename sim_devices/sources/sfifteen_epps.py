"""Twin of the S-Fifteen EPPS: pump diode, its Peltier and the crystal's heater.  Written from protocol sheet 01."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Following, Profile, Ramp, Relaxation
from qlab.physics.source import LaserDiode
from qlab.twin.lines import LineError, LineTwin, line
from sim_devices.sources.diode import SETTLED_K, DiodeTemperature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Later

__all__ = ["EPPSTwin"]

REFUSED = "ERROR: argument out of range"  # [INF] the wording
UNKNOWN = "ERROR: unknown command"  # [INF]
SAVED = "Settings saved."  # [INF]
SAVE_S = 0.5  # [V1] up to 1 s
RANGES = {"LLIMIT": (0.0, 97.0), "HLIMIT": (0.0, 10.0), "PLIMIT": (0.0, 2.5), "POWER": (0.0, 3.0)}  # [V1] mA, V
RANGES |= {"HSETTEMP": (20.0, 100.0), "PSETTEMP": (20.0, 50.0), "HRATE": (0.0, 1.0)}  # [V1] degC, K/s
RANGES |= {"HLOOP": (0.0, 1.0), "PLOOP": (0.0, 1.0)}
RANGES |= {f"{part}CONST{term}": (0.0, 10.0) for part in "HP" for term in "PID"}  # [V1]
HEATER_LOOP, PELTIER_LOOP, LASER_ON, RAIL_0, RAIL_1 = 1, 2, 4, 256, 512  # [V1]
HEATER_RAIL, LASER_RAIL = 1, 2  # [V1] bits of `POWER`, as the vendor's code has them
HEATER_K_PER_V2, PELTIER_K_PER_V, RUNAWAY_K = 0.9, 12.0, 30.0  # [INF]
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
DEFAULTS = {
    "LLIMIT": 97.0,
    "HLIMIT": 10.0,
    "PLIMIT": 2.5,
    "HSETTEMP": 30.0,
    "PSETTEMP": 25.0,
    "LCURRENT": 0.0,
    "HRATE": 0.0,
}
DEFAULTS |= {"HVOLT": 0.0, "PVOLT": 0.0, "POWER": 0.0, "HLOOP": 0.0, "PLOOP": 0.0}
DEFAULTS |= {f"{part}CONST{term}": 0.1 for part in "HP" for term in "PID"}
WHOLE = ("POWER", "HLOOP", "PLOOP")


class Parameters(DiodeTemperature):
    """The `twin:` section: the source."""

    serial: str = "EPPS-0007"
    threshold_ma: float = Field(30.0, ge=0, description="[INF] a violet diode, typical data-sheet value")
    slope_w_per_a: float = Field(0.8, gt=0, description="[INF] a violet diode, typical data-sheet value")
    rollover_per_a: float = Field(0.0, ge=0, description="thermal roll-off of the slope")
    mode_spacing_nm: float = Field(0.03, gt=0, description="[INF] by which the laser hops")
    heater_tau_s: float = Field(40.0, gt=0, description="[INF] tens of seconds")
    peltier_tau_s: float = Field(5.0, gt=0, description="[INF] seconds")


class EPPSTwin(LineTwin):
    """The board: silence for a set, a line for a mistake."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    terminators = b";\r\n"
    ignore_case = True
    unknown = UNKNOWN
    error = busy = "ERROR: busy"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._parameters = p = parameters
        self._diode = LaserDiode(
            p.threshold_ma * 1e-3,
            p.slope_w_per_a,
            t0_k=p.t0_k,
            t1_k=p.t1_k,
            rollover_per_a=p.rollover_per_a,
            mode_spacing_nm=p.mode_spacing_nm,
            gain_nm_per_k=p.gain_nm_per_k,
            mode_nm_per_k=p.mode_nm_per_k,
        )
        self._power = bench.knob(name, "power_w")
        self._wavelength = bench.knob(name, "wavelength_nm", self._diode.wavelength_nm)
        self._crystal = bench.oven_temperature(name)
        room_c = bench.ambient_c(name)
        self._laser = Relaxation(0, room_c, room_c, 1)
        self._saved = dict(DEFAULTS)
        self._set = dict(DEFAULTS)
        self._on = self._runs_away = False
        self._drive()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> EPPSTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Begin with what was saved, dark and without loops."""
        self._set = dict(self._saved) | {"POWER": 0.0, "HLOOP": 0.0, "PLOOP": 0.0, "HVOLT": 0.0, "PVOLT": 0.0}
        self._on = False
        self._drive()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Let the Peltier lose control of the laser's temperature, or take it again."""
        if name != "thermal_runaway":
            msg = f"{self._name}: unknown device fault {name!r}; expected thermal_runaway"
            raise TwinError(msg)
        self._runs_away = active
        self._drive()

    def peek(self) -> dict[str, object]:
        """Return the board's state."""
        return {"laser_on": self._shines, "current_ma": self._set["LCURRENT"], "crystal_c": self._crystal_c()}

    @line("*IDN?")
    def _identity(self) -> str:
        return f"SPDCSDR,S-Fifteen Instruments,{self._parameters.serial}"

    @line("HELP")
    def _help(self) -> list[str]:
        return ["SPDC source driver", *(f"{name} <value>" for name in DEFAULTS), "ON, OFF, STATUS?, SAVE, *RST"]

    @line(r"([A-Z]+)\?")
    def _tell(self, name: str) -> str | None:
        name = name.upper()
        readings = {"HTEMP": self._crystal_c, "PTEMP": self._laser_c, "HTARGET": self._target_c}
        if name == "STATUS":
            return str(self._status())
        if name in readings:
            return f"{readings[name]():.3f}"
        if name not in self._set:
            raise LineError(UNKNOWN)
        return f"{self._set[name]:.0f}" if name in WHOLE else f"{self._value(name):.3f}"

    @line(r"([A-Z]+) +(\S+)")
    def _store(self, name: str, text: str) -> None:
        name = name.upper()
        if name not in self._set:
            raise LineError(UNKNOWN)
        low, high = self._range(name)
        if not NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise LineError(REFUSED)
        held = {"HLOOP": ("HVOLT", self._value("HVOLT")), "PLOOP": ("PVOLT", self._value("PVOLT"))}
        if name in held and float(text) == 0.0:
            self._set[held[name][0]] = held[name][1]  # opening a loop holds the last voltage
        self._set[name] = float(text)
        self._drive()

    @line("ON")
    def _switch_on(self) -> None:
        self._on = True
        self._drive()

    @line("OFF")
    def _switch_off(self) -> None:
        self._on = False
        self._drive()

    @line("SAVE")
    def _save(self) -> Later:
        self._saved = dict(self._set)
        return self.later(SAVE_S, SAVED)

    @line("*RST")
    def _reset(self) -> None:
        self._set = dict(DEFAULTS)
        self._on = False
        self._drive()

    def _range(self, name: str) -> tuple[float, float]:
        s = self._set
        movable = {"LCURRENT": (0.0, s["LLIMIT"]), "HVOLT": (0.0, s["HLIMIT"]), "PVOLT": (-s["PLIMIT"], s["PLIMIT"])}
        return movable.get(name) or RANGES[name]

    @property
    def _shines(self) -> bool:
        return self._on and bool(int(self._set["POWER"]) & LASER_RAIL)

    def _status(self) -> int:
        value = (HEATER_LOOP if self._set["HLOOP"] else 0) | (PELTIER_LOOP if self._set["PLOOP"] else 0)
        value |= LASER_ON if self._on else 0
        return value | int(self._set["POWER"]) * RAIL_0

    def _crystal_c(self) -> float:
        return self._crystal.value(self.clock.now_ps())

    def _laser_c(self) -> float:
        return self._laser.value(self.clock.now_ps())

    def _target_c(self) -> float:
        ramps = bool(self._set["HLOOP"]) and self._set["HRATE"] > 0
        return self._crystal_c() if ramps else self._set["HSETTEMP"]

    def _value(self, name: str) -> float:
        """Return a setting, or what a closed loop makes of a voltage."""
        room = self._bench.ambient_c(self._name)
        if name == "HVOLT" and self._set["HLOOP"]:
            return min(math.sqrt(max(self._crystal_c() - room, 0.0) / HEATER_K_PER_V2), self._set["HLIMIT"])
        if name == "PVOLT" and self._set["PLOOP"]:
            return (self._laser_c() - room) / PELTIER_K_PER_V
        return self._set[name]

    def _drive(self) -> None:
        """Let crystal, laser and light go where the settings take them."""
        s, p, now = self._set, self._parameters, self.clock.now_ps()
        room, powered = self._bench.ambient_c(self._name), bool(int(s["POWER"]) & HEATER_RAIL)
        crystal = s["HSETTEMP"] if s["HLOOP"] else room + HEATER_K_PER_V2 * s["HVOLT"] ** 2
        crystal = max(crystal, room) if powered else room
        here = self._crystal_c()
        way: Profile = Relaxation(now, here, crystal, round(p.heater_tau_s * PS_PER_S))
        if s["HLOOP"] and powered and s["HRATE"] > 0 and crystal != here:
            way = Ramp(now, here, now + max(round(abs(crystal - here) / s["HRATE"] * PS_PER_S), 1), crystal)
        self._crystal.set(way, now)
        laser = s["PSETTEMP"] if s["PLOOP"] else room + PELTIER_K_PER_V * s["PVOLT"]
        laser = room + RUNAWAY_K if self._runs_away else laser if powered else room
        self._laser = Relaxation(now, self._laser_c(), laser, round(p.peltier_tau_s * PS_PER_S), SETTLED_K)
        if not self._shines:
            self._power.set(0.0, now)
            return
        current = Ramp(now, s["LCURRENT"] * 1e-3, now, s["LCURRENT"] * 1e-3)
        self._power.set(Following(self._diode.power_w, current, self._laser), now)
        self._wavelength.set(Following(self._diode.wavelength_at, current, self._laser), now)
