"""Twin of the Thorlabs ITC4000 series, the CLD1015's bench-top kin.  Written from protocol sheet 03."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.twin.scpi import parameter, query
from sim_devices.sources.thorlabs_cld1015 import CLD1015Twin
from sim_devices.sources.thorlabs_cld1015 import Parameters as CLD1015Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["ITC4000Twin"]

POLARITY = "CG"  # [INF] cathode to ground


class Parameters(CLD1015Parameters):
    """The `twin:` section."""

    model: str = "ITC4020"
    serial: str = "E12345678"
    firmware: str = "1.4.0/2.0.3/1.6.0"


class ITC4000Twin(CLD1015Twin):
    """The bench-top controller: what the CLD1015 has, and a little more."""

    external_protection = parameter(
        "OUTPut[1]:PROTection:EXTernal:MODE", "OFF", choices=("OFF", "PROTection", "ENABle")
    )

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(name, bench, parameters)
        self._model = parameters.model

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> ITC4000Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"THORLABS,{self._model},{self._parameters.serial},{self._parameters.firmware}"

    @query("OUTPut[1]:CONDition?")
    def _condition(self) -> bool:
        """Tell whether there is light: the output is on and the soft start over."""
        return self._laser_on and self.clock.now_ps() >= self._full_ps

    @query("OUTPut[1]:POLarity?")
    def _polarity(self) -> str:
        return POLARITY
