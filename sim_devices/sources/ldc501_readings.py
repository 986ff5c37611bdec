"""The LDC501's questions for current, voltage and light, and its status words as tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from qlab.twin.scpi import boolean, command, number, query
from sim_devices.sources.diode import DiodeTemperature
from sim_devices.sources.ldc501_tec import Ldc501Tec

if TYPE_CHECKING:
    from qlab.physics.knob import Knob
    from qlab.physics.source import LaserDiode
    from qlab.twin.scpi_status import StatusGroup

__all__ = ["LaserReadings", "Parameters"]

SERIES_OHM, DIODE_V = 8.0, 3.2  # a violet diode, typical data-sheet values


class Parameters(DiodeTemperature):
    """The `twin:` section: properties of the diode."""

    model: Literal["LDC500", "LDC501", "LDC502"] = "LDC501"
    serial: str = "098023"
    firmware: str = "2.00"
    threshold_ma: float = Field(35.0, ge=0, description="[INF] a violet diode, typical data-sheet value")
    slope_w_per_a: float = Field(1.0, gt=0, description="[INF] a violet diode, typical data-sheet value")
    rollover_per_a: float = Field(0.2, ge=0, description="[INF] thermal roll-off")
    responsivity_ua_per_mw: float = Field(5.0, gt=0, description="[INF] of the monitor diode")
    wavelength_nm: float = Field(405.0, gt=0, description="pump of a type-I or type-II crystal for 810 nm")
    mode_spacing_nm: float = Field(0.03, gt=0, description="[INF] by which the laser hops")
    tec_tau_s: float = Field(3.0, gt=0, description="[INF]")


class LaserReadings(Ldc501Tec):
    """What the laser driver measures."""

    _on: bool
    words: bool
    _range: str
    laser_status: StatusGroup
    _diode: LaserDiode
    _parameters: Parameters
    _power: Knob

    def _actual_ma(self) -> float:
        """Return the current through the diode in mA."""
        raise NotImplementedError

    @query("RILD?")
    def _current(self) -> float:
        return self._actual_ma()

    @query("RVLD?")
    def _voltage(self) -> float:
        return DIODE_V + SERIES_OHM * self._actual_ma() * 1e-3 if self._on else 0.0

    @query("RIPD?")
    def _photocurrent(self) -> float:
        return self._power.value(self.clock.now_ps()) * 1e3 * self._parameters.responsivity_ua_per_mw

    @query("RWPD?")
    def _photodiode_power(self) -> float:
        return self._photocurrent() / float(self.responsivity) if self.responsivity else 0.0

    @command("CALP", number(1e-3, 5000.0))
    def _calibrate(self, milliwatt: float) -> None:
        self.responsivity = self._photocurrent() / milliwatt

    @query("LDCR?")
    def _laser_condition(self) -> int:
        self.refresh_status()
        return self.laser_status.condition

    @query("LDEV?")
    def _laser_event(self) -> int:
        self.refresh_status()
        return self.laser_status.read_event()

    def _token(self, word: str, *, value: int) -> str:
        return word if self.words else str(value)

    @command("TOKN", boolean)
    def _tokens(self, on: bool) -> None:
        self.words = on

    @query("TOKN?")
    def _tokens_query(self) -> str:
        return self._token("ON" if self.words else "OFF", value=int(self.words))

    @query("RNGE?")
    def _range_query(self) -> str:
        return self._token(self._range, value=int(self._range == "HIGH"))
