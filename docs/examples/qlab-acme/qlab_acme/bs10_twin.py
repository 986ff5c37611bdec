"""Twin of the Acme BS-10."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from qlab.physics.knob import Knob, Relaxation
from qlab.twin.scpi import ScpiTwin, parameter, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["BS10Twin", "Parameters"]

TAU_PS = 200_000_000_000  # 0.2 s


class Parameters(BaseModel):
    """The `twin:` section of the lab file."""

    model_config = ConfigDict(extra="forbid")

    noise_v: float = Field(1e-3, ge=0, description="of one reading, standard deviation")


class BS10Twin(ScpiTwin):
    """The bias supply."""

    identity = "Acme,BS-10,0042,1.3"
    voltage = parameter("SOURce:VOLTage[:LEVel]", 0.0, limits=(0.0, 10.0), changed="_step")
    output = parameter("OUTPut[:STATe]", False, changed="_step")

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self.name, self.bench, self.parameters = name, bench, parameters
        self.terminals_v = Knob(0.0)
        self.tripped = False

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> BS10Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(parameters))

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Draw too much current, or no longer: `qlab twin device-fault bias overload`."""
        if name != "overload":
            msg = f"{self.name}: unknown device fault {name!r}; expected overload"
            raise TwinError(msg)
        self.tripped = active

    def _step(self) -> None:
        now = self.clock.now_ps()
        target = float(self.voltage) if self.output else 0.0
        self.terminals_v.set(Relaxation(now, self.terminals_v.value(now), target, TAU_PS), now)

    @query("MEASure:VOLTage?")
    def _measure(self) -> str:
        now = self.clock.now_ps()
        noise = self.bench.rng(self.name, now).normal(0.0, self.parameters.noise_v)
        return f"{self.terminals_v.value(now) + noise:.4f}"

    @query("SOURce:CURRent:PROTection:TRIPped?")
    def _tripped(self) -> bool:
        return self.tripped
