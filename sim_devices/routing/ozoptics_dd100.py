"""Twin of the OZ Optics DD-100-MC variable attenuator.  Written from protocol sheet 14, part B."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Ramp
from qlab.twin.lines import LineError, LineTwin, line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Later

__all__ = ["DD100Twin"]

DB_PER_STEP = 0.0188  # [V2] the sheet's example: 23.50 dB at position 1250
FULL_TRAVEL_S = 1.5  # [INF] 1 to 2 s
HOME_S, RESTART_S = 20.0, 40.0  # [V2] up to 30 s; up to 40 s
DONE = ["Done", ""]  # [V2] an empty line follows

REFUSED = "Error!"


class Parameters(BaseModel):
    """The `twin:` section: properties of the attenuator."""

    model_config = ConfigDict(extra="forbid")

    insertion_loss_db: float = Field(1.2, ge=0, description="[V2] example of the sheet")
    maximum_db: float = Field(60.0, gt=0, description="[V2] example of the sheet")
    wavelength_nm: float = Field(1550.0, gt=0, description="of the light")
    calibration_nm: float = Field(1550.0, gt=0, description="for which the scale was made")
    dependence_per_nm: float = Field(1e-4, description="[INF] relative change of the loss in dB")


class DD100Twin(LineTwin):
    """The attenuator: a motor that counts steps from its home."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    terminators = b"\r"
    ignored = b"\n"
    unknown = error = busy = REFUSED

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self._knob = bench.knob(name, "loss_db")
        self._stuck = False
        self._true = int(bench.rng(name).integers(200, 1500))  # where the motor was left, in steps from its home
        self._knob.set(self._true * self._scale(), self.clock.now_ps())
        self.reset_power()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> DD100Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def reset_power(self) -> None:
        """Stop, and lose the zero: it counts from where it stands."""
        now = self.clock.now_ps()
        self._true = round(self._knob.value(now) / self._scale())
        self._knob.set(self._true * self._scale(), now)
        self._zero, self._homed = self._true, False

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Block the motor, or free it."""
        if name != "stuck_motor":
            msg = f"{self._name}: unknown device fault {name!r}; expected stuck_motor"
            raise TwinError(msg)
        self._stuck = active

    def peek(self) -> dict[str, object]:
        """Return where it stands."""
        return {
            "position": self._true - self._zero,
            "homed": self._homed,
            "loss_db": self._knob.value(self.clock.now_ps()),
        }

    @line("D")
    def _show(self) -> list[str]:
        shown = self._true - self._zero
        return [f"DPos:{shown}", f"ATTEN:{shown * DB_PER_STEP:.2f}", *DONE]

    @line("A(.*)")
    def _attenuate(self, value: str) -> Later:
        if not re.fullmatch(r"\s*[-+]?\d{1,4}(\.\d{0,9})?", value, re.ASCII):
            raise LineError(REFUSED)
        if not 0.0 <= float(value) <= self._parameters.maximum_db:
            raise LineError(REFUSED)
        seconds = self._move(self._zero + round(float(value) / DB_PER_STEP))
        return self._after(seconds, f"Pos:{self._true - self._zero}", *DONE)

    @line("H")
    def _home(self) -> Later:
        if self._stuck:
            return self._after(HOME_S, REFUSED)
        self._move(0, HOME_S)
        self._zero, self._homed = 0, True
        return self._after(HOME_S, *DONE)

    @line("CD")
    def _configuration(self) -> list[str]:
        p = self._parameters
        return ["DD-100-MC", f"IL:{p.insertion_loss_db:.2f}", f"MAX ATTEN:{p.maximum_db:.2f}", *DONE]

    @line("RST")
    def _restart(self) -> Later:
        self.reset_power()
        return self._after(RESTART_S, *DONE)

    def _after(self, seconds: float, *lines: str) -> Later:
        return self.later(seconds, "\r\n".join(lines))

    def _move(self, target: int, seconds: float | None = None) -> float:
        """Go to a place in steps from the home; returns the seconds that it takes."""
        if self._stuck:
            return FULL_TRAVEL_S
        if seconds is None:
            seconds = FULL_TRAVEL_S * abs(target - self._true) * DB_PER_STEP / self._parameters.maximum_db
        now = self.clock.now_ps()
        self._true = min(max(target, 0), round(self._parameters.maximum_db / DB_PER_STEP))  # between its end stops
        end = now + max(round(seconds * PS_PER_S), 1)
        self._knob.set(Ramp(now, self._knob.value(now), end, self._true * self._scale()), now)
        return seconds

    def _scale(self) -> float:
        """Return the true loss of a step in dB."""
        p = self._parameters
        return DB_PER_STEP * (1.0 + p.dependence_per_nm * (p.wavelength_nm - p.calibration_nm))
