"""Twin of the Thorlabs CLD1015 laser mount: laser driver, TEC, protections.  Written from protocol sheet 03."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.physics.knob import Knob, Ramp, Relaxation
from qlab.physics.source import LaserDiode
from qlab.twin.scpi import ScpiError, ScpiTwin, command, parameter, parse_bool, query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["CLD1015Twin"]

SOFT_START_PS = 300_000_000_000  # [INF] several 100 ms
CONFLICT = (-221, "Settings conflict")  # [INF] which error a refused OUTP ON queues
SERIES_OHM, DIODE_V = 3.0, 1.2  # a diode's forward voltage and series resistance, typical data-sheet values
PROTECTIONS = {"INTLock": 2, "KEYLock": 0, "OTEMp": 14, "CONNection": 12, "VOLTage": 1}  # [V1] bits of STAT:MEAS
FAULTS = {"interlock": "INTLock", "key_lock": "KEYLock", "over_temperature": "OTEMp", "connection": "CONNection"}


class Parameters(BaseModel):
    """The `twin:` section: properties of the diode and the mount."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "M00123456"
    firmware: str = "1.7.0"
    threshold_a: float = Field(0.03, ge=0)
    slope_w_per_a: float = Field(0.6, gt=0)
    maximum_a: float = Field(1.5, gt=0, description="[V2] CLD1015: 1.5 A")
    tec_tau_s: float = Field(3.0, gt=0, description="[INF] TEC settles in seconds to tens of seconds")


class CLD1015Twin(ScpiTwin):
    """The laser mount."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    status_groups = ("OPERation", "QUEStionable", "MEASurement")

    mode = parameter("SOURce[1]:FUNCtion:MODE", "CURR", choices=("CURRent", "POWer"), changed="_light_changed")
    current_a = parameter(
        "SOURce[1]:CURRent[:LEVel][:IMMediate][:AMPLitude]", 0.0, limits=(0.0, 1.5), changed="_light_changed"
    )
    limit_a = parameter("SOURce[1]:CURRent:LIMit[:AMPLitude]", 1.5, limits=(0.0, 1.5), changed="_limit_changed")
    modulation = parameter("SOURce[1]:AM:STATe", False)
    set_point_c = parameter("SOURce2:TEMPerature[:SPOint]", 25.0, limits=(5.0, 70.0), changed="_tec_changed")
    low_c = parameter("SOURce2:TEMPerature:LIMit:LOW", 5.0, limits=(5.0, 70.0))
    high_c = parameter("SOURce2:TEMPerature:LIMit:UPPer", 70.0, limits=(5.0, 70.0))
    tec_limit_a = parameter("SOURce2:CURRent:LIMit", 1.0, limits=(0.0, 3.0))
    gain = parameter("SOURce2:TEMPerature:LCONstants:GAIN", 1.0, limits=(0.0, 100.0))
    integral = parameter("SOURce2:TEMPerature:LCONstants:INTegral", 0.1, limits=(0.0, 100.0))
    derivative = parameter("SOURce2:TEMPerature:LCONstants:DERivative", 0.0, limits=(0.0, 100.0))
    unit = parameter("UNIT:TEMPerature", "C", choices=("C", "F", "K"))

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._bench = bench
        self._name = name
        self._parameters = parameters
        self._diode = LaserDiode(parameters.threshold_a, parameters.slope_w_per_a)
        self._power = bench.pump_power(name)
        self._temperature = Knob(bench.ambient_c(name))
        self._laser_on = False
        self._tec_on = False
        self._present: set[str] = set()
        self._tripped: set[str] = set()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> CLD1015Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Thorlabs,CLD1015,{self._parameters.serial},{self._parameters.firmware}"

    def on_reset(self) -> None:
        """`*RST` switches both outputs off."""
        self._switch(on=False)
        self._tec(on=False)

    def reset_power(self) -> None:
        """Power was cycled: everything is off."""
        super().reset_power()

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return the set current's range, which its limit bounds."""
        return (0.0, float(self.limit_a)) if name == "current_a" else None

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Open the interlock, turn the key, or overheat; or end it."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        node = FAULTS[name]
        if active:
            self._present.add(node)
            self._trip(node)
            self._switch(on=False)
        else:
            self._present.discard(node)
            self.status["MEASurement"].set_bits(1 << PROTECTIONS[node], on=False)

    @command("OUTPut[1][:STATe]")
    def _output(self, state: str) -> None:
        on = parse_bool(state)
        if on and self._present:
            for node in self._present:
                self._trip(node)
            raise ScpiError(*CONFLICT)
        if on:
            self._tripped.clear()
        self._switch(on=on)

    @query("OUTPut[1][:STATe]?")
    def _output_query(self) -> str:
        return str(int(self._laser_on))

    @command("OUTPut2[:STATe]")
    def _tec_output(self, state: str) -> None:
        self._tec(on=parse_bool(state))

    @query("OUTPut2[:STATe]?")
    def _tec_query(self) -> str:
        return str(int(self._tec_on))

    @query("SOURce[1]:CURRent:LIMit:TRIP?")
    def _limit_trip(self) -> str:
        return "0"

    @query("OUTPut[1]:PROTection:INTLock:TRIP?", "OUTPut[1]:PROTection:INTL:TRIP?")
    def _interlock(self) -> str:
        return self._trip_text("INTLock")

    @query("OUTPut[1]:PROTection:KEYLock:TRIP?", "OUTPut[1]:PROTection:KEYL:TRIP?")
    def _key(self) -> str:
        return self._trip_text("KEYLock")

    @query("OUTPut[1]:PROTection:OTEMp:TRIP?")
    def _over_temperature(self) -> str:
        return self._trip_text("OTEMp")

    @query("OUTPut[1]:PROTection:CONNection:TRIP?")
    def _connection(self) -> str:
        return self._trip_text("CONNection")

    @query("OUTPut[1]:PROTection:VOLTage:TRIP?")
    def _voltage_trip(self) -> str:
        return self._trip_text("VOLTage")

    @query("SENSe2:TEMPerature:DATA?", "MEASure[:SCALar]:TEMPerature?")
    def _measure_temperature(self) -> str:
        celsius = self._temperature.value(self.clock.now_ps())
        return f"{ {'C': celsius, 'K': celsius + 273.15, 'F': celsius * 1.8 + 32.0}[str(self.unit)]:.6E}".strip()

    @query("SENSe3:CURRent:DATA?", "MEASure[:SCALar]:CURRent?")
    def _measure_current(self) -> str:
        return f"{self._actual_a():.6E}"

    @query("SENSe4:VOLTage:DATA?", "MEASure[:SCALar]:VOLTage?")
    def _measure_voltage(self) -> str:
        current = self._actual_a()
        return f"{DIODE_V + SERIES_OHM * current if current else 0.0:.6E}"

    @query("MEASure[:SCALar]:POWer2?")
    def _measure_power(self) -> str:
        return f"{self._power.value(self.clock.now_ps()):.6E}"

    def _actual_a(self) -> float:
        return float(self.current_a) if self._laser_on else 0.0

    def _trip(self, node: str) -> None:
        self._tripped.add(node)
        self.status["MEASurement"].set_bits(1 << PROTECTIONS[node], on=True)

    def _trip_text(self, node: str) -> str:
        return str(int(node in self._tripped))

    def _switch(self, *, on: bool) -> None:
        changed, self._laser_on = self._laser_on != on, on
        now = self.clock.now_ps()
        if on and changed:
            self._power.set(Ramp(now, 0.0, now + SOFT_START_PS, self._watts()), now)
        elif changed:
            self._power.set(0.0, now)

    def _light_changed(self) -> None:
        if self._laser_on:
            self._power.set(self._watts(), self.clock.now_ps())

    def _limit_changed(self) -> None:
        if self.current_a > self.limit_a:
            self.current_a = self.limit_a
            self._light_changed()

    def _watts(self) -> float:
        return self._diode.power_w(float(self.current_a), 25.0)

    def _tec(self, *, on: bool) -> None:
        self._tec_on = on
        self._tec_changed()

    def _tec_changed(self) -> None:
        now = self.clock.now_ps()
        target = float(self.set_point_c) if self._tec_on else self._bench.ambient_c(self._name)
        tau = round(self._parameters.tec_tau_s * PS_PER_S)
        self._temperature.set(Relaxation(now, self._temperature.value(now), target, tau), now)
