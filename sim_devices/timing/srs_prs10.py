"""Twin of the SRS PRS10 rubidium oscillator (FS725 on the bench).  Written from protocol sheet 20.

The world sees its fractional frequency error as a knob: that of its crystal while it warms up, then what the rubidium leaves,
with the offset that is set; slaved to a 1 pps it goes to the reference's, and stays where it was when that is lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Step
from qlab.twin.conversation import Dialogue
from qlab.twin.framing import LineFramer
from sim_devices.timing.prs10_loop import PulseLock, damping, natural_s
from sim_devices.timing.prs10_registers import DEFAULTS, MONITORS, RANGES, SYNTHESISER
from sim_devices.timing.prs10_status import BAD_PARAMETER, BAD_SYNTAX, COLD, CONDITIONS, FAULTS, LOST_LOCK, WAS_RESET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script

__all__ = ["PRS10Twin"]

COMMAND = re.compile(r"([A-Z]{2})\s*(!|\?|[-+0-9,.]*)(\d*)(\??)")
COLD_CRYSTAL = 1e-8  # [INF] of a crystal that is not locked to the rubidium
GOOD_PULSES_S = 256.0  # [V1] good pulses before the loop closes
HOT_CASE_V = 0.85  # [INF] what AD10? tells of a case that is too hot


class Parameters(BaseModel):
    """The `twin:` section: the oscillator."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "19957"
    firmware: str = "3.24"
    warm_up_s: float = Field(420.0, gt=0, description="[INF] 6 to 8 minutes to lock")
    begins_warm: bool = True
    error_1e12: float = Field(0.0, description="fractional frequency error when locked, in units of 1e-12")
    pps_input: bool = Field(default=False, description="whether a good 1 pps is connected")


class PRS10Twin:
    """The oscillator: two letters, a question mark or numbers, and silence for mistakes."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self._clock = bench.clock
        self._parameters = parameters
        self._knob = bench.knob(name, "frequency")
        self._faults: set[str] = set()
        self._pps = parameters.pps_input
        now = self._clock.now_ps()
        self._locks_ps = now if parameters.begins_warm else now + self._warm_up_ps()
        self._latched = [0, 0, 0, 0, 0, WAS_RESET]
        self._loop: PulseLock | None = None
        self._tagged_ps = 0
        self._set = dict(DEFAULTS)
        self._synthesiser = SYNTHESISER
        self._latch()
        self._drive()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> PRS10Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def connect(self) -> Dialogue:
        """Begin a conversation with one client."""
        return Dialogue(self, LineFramer(b"\r", ignored=b"\n\x11\x13"), self._clock)

    def reset_power(self) -> None:
        """Begin to warm up; settings are lost [INF]."""
        self._set = dict(DEFAULTS)
        self._loop = None
        self._locks_ps = self._clock.now_ps() + self._warm_up_ps()
        self._latched = [0, 0, 0, 0, 0, WAS_RESET]
        self._synthesiser = SYNTHESISER
        self._latch()
        self._drive()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Let the lamp fail, the synthesiser or the case go wrong, or lose the 1 pps; or mend it."""
        self._latch()
        if name == "pps_lost":
            self._pps = not active and self._parameters.pps_input
            self._follow()
        elif name in FAULTS:
            (self._faults.add if active else self._faults.discard)(name)
            if not active and name in LOST_LOCK:
                self._locks_ps = self._clock.now_ps() + self._warm_up_ps() // 10
        else:
            msg = f"{self._name}: unknown device fault {name!r}; expected pps_lost or one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        self._latch()
        self._drive()

    def peek(self) -> dict[str, object]:
        """Return lock and frequency."""
        return {"locked": self._locked, "slaved": self._slaved, "frequency": self._knob.value(self._clock.now_ps())}

    def answer(self, message: bytes) -> Script:
        """Carry out one command."""
        text = message.decode("latin-1").strip()
        if not text:
            return
        found = COMMAND.fullmatch(text)
        reply = (
            self._carry_out(found[1], found[2] + found[3], asks=bool(found[4]) or found[2] == "?") if found else None
        )
        if found is None:
            self._latched[5] |= BAD_SYNTAX
        if reply is not None:
            yield f"{reply}\r".encode("latin-1")

    def refuse(self, message: bytes, kind: str, text: str) -> bytes:
        """Say nothing: mistakes set bits."""
        del message, kind, text
        self._latched[5] |= BAD_SYNTAX
        return b""

    def _carry_out(self, name: str, rest: str, *, asks: bool) -> str | None:
        rest = rest.rstrip("?")
        if asks:
            return self._tell(name, rest)
        if name == "RS" and rest == "1":
            self.reset_power()
        elif name in RANGES and re.fullmatch(r"[-+]?\d{1,10}", rest):
            low, high = RANGES[name]
            if low <= int(rest) <= high:
                self._latch()
                self._set[name] = int(rest)
                self._changed(name)
                self._latch()
            else:
                self._latched[5] |= BAD_PARAMETER
        elif name == "SP" and re.fullmatch(r"\d{1,5},\d{1,5},\d{1,5}", rest):
            self._synthesiser = rest
        else:
            self._latched[5] |= BAD_SYNTAX if name not in RANGES and name not in ("RS", "SP") else BAD_PARAMETER
        return None

    def _tell(self, name: str, rest: str) -> str | None:
        if name == "ID":
            return f"PRS10_{self._parameters.firmware}_SN_{self._parameters.serial}"
        if name == "SN":
            return self._parameters.serial
        if name == "LO":
            return str(int(self._locked))
        if name == "ST":
            return self._status()
        if name == "SP":
            return self._synthesiser
        if name == "AD" and rest == "10" and "case_too_hot" in self._faults:
            return f"{HOT_CASE_V:.3f}"
        if name == "AD" and rest.isdecimal() and int(rest) < 20:
            return f"{MONITORS.get(int(rest), 0.0):.3f}"
        if name == "SD" and rest.isdecimal() and int(rest) < 8:
            return "128"
        if name == "FC":
            return "2246,2048"
        if name == "DS":
            return "0,55" if self._locked else "0,0"
        if name == "MR":
            return "2000"
        if name == "TT":
            return self._time_tag()
        if name == "SF" and self._slaved:
            return str(self._offset_1e12())
        if name in RANGES:
            return str(self._set.get(name, 0))
        self._latched[5] |= BAD_SYNTAX
        return None

    @property
    def _locked(self) -> bool:
        lost = any(fault in self._faults for fault in LOST_LOCK)
        return self._clock.now_ps() >= self._locks_ps and self._set["LO"] == 1 and not lost

    @property
    def _slaved(self) -> bool:
        return self._loop is not None and self._clock.now_ps() >= self._loop.t0_ps

    def _warm_up_ps(self) -> int:
        return round(self._parameters.warm_up_s * PS_PER_S)

    def _conditions(self) -> list[int]:
        """Return the six bytes as things are now."""
        found = [FAULTS[fault] for fault in self._faults]
        if not self._locked:
            found.append(CONDITIONS["loop_off"])
        if self._set["LO"] == 0:
            found.append(CONDITIONS["loop_disabled"])
        if self._set.get("PL", 0) == 0:
            found.append(CONDITIONS["pll_disabled"])
        else:
            found.append(CONDITIONS["no_pps" if not self._pps else "pll_active" if self._slaved else "few_pulses"])
        bytes_ = [0, 0, COLD if self._clock.now_ps() < self._locks_ps else 0, 0, 0, 0]
        for byte, bit in found:
            bytes_[byte] |= 1 << bit
        return bytes_

    def _latch(self) -> None:
        """Remember what is so until somebody reads it."""
        self._latched = [a | b for a, b in zip(self._latched, self._conditions(), strict=True)]

    def _status(self) -> str:
        self._latch()
        found, self._latched = self._latched, [0] * 6
        self._latch()  # what stays so is seen again
        return ",".join(map(str, found))

    def _time_tag(self) -> str:
        """Return the last 1 pps tag in ns, -1 where none came since the last question."""
        second = self._clock.now_ps() // PS_PER_S
        if not self._pps or second == self._tagged_ps:
            return "-1"
        self._tagged_ps = second
        now = self._clock.now_ps()
        loop = self._loop if self._slaved else None
        away_ns = (self._knob.value(now) * second if loop is None else loop.time_error_s(now)) * 1e9
        return str(round(away_ns) % 1_000_000_000)

    def _changed(self, name: str) -> None:
        if name == "PL":
            self._follow()
        self._drive()

    def _follow(self) -> None:
        """Wait for good pulses to close the loop, or open it: the frequency stays as it was set last."""
        now = self._clock.now_ps()
        if self._slaved:
            self._set["SF"] = self._offset_1e12()
        self._loop = None
        if self._set.get("PL", 0) == 1 and self._pps:
            self._loop = PulseLock(now + round(GOOD_PULSES_S * PS_PER_S), 0.0, self._free(), 1.0, 1.0)

    def _free(self) -> float:
        """Return the frequency error with the offset that is set."""
        return (self._parameters.error_1e12 + self._set.get("SF", 0)) * 1e-12

    def _offset_1e12(self) -> int:
        """Return the offset to which the loop has gone."""
        return round(self._knob.value(self._clock.now_ps()) * 1e12 - self._parameters.error_1e12)

    def _drive(self) -> None:
        """Publish the frequency error: the crystal's, then the rubidium's, then what the loop leaves."""
        now = self._clock.now_ps()
        if not self._locked:
            locks = self._locks_ps if self._set["LO"] == 1 and not self._faults.intersection(LOST_LOCK) else 2**60
            self._knob.set(Step(COLD_CRYSTAL, max(locks, now + 1), self._free()), now)
        elif self._loop is not None:
            x, y = (self._loop.time_error_s(now), self._loop.value(now)) if self._slaved else (0.0, self._free())
            begin = max(now, self._loop.t0_ps)
            self._loop = PulseLock(begin, x, y, natural_s(self._set["PT"]), damping(self._set["PF"]))
            self._knob.set(self._loop, now)
        else:
            self._knob.set(self._free(), now)
