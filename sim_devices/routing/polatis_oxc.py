"""Twin of the Polatis optical circuit switch: SCPI on its main port, TL1 on another.  Written from protocol sheet 15."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from qlab.twin.scpi import ScpiError, ScpiTwin, command, query
from sim_devices.routing.polatis_matrix import Matrix, PortError
from sim_devices.routing.polatis_ports import port_list, port_number, write_ports
from sim_devices.routing.polatis_tl1 import Tl1Port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Twin

__all__ = ["PolatisTwin"]

EXECUTION = -200  # [INF] of a connection that is refused
LIST_ERROR = -220  # [INF] of lists that do not fit
LONGEST_QUERY = 256  # [V1] ports of one power query


class Parameters(BaseModel):
    """The `twin:` section: properties of the switch."""

    model_config = ConfigDict(extra="forbid")

    inputs: int = Field(16, ge=1, le=384, description="[V2] example of the sheet")
    outputs: int = Field(16, ge=1, le=384, description="[V2] example of the sheet")
    serial: str = "001310"
    firmware: str = "6.5.2.18"
    settling_s: float = Field(0.02, ge=0, description="[INF] 10 to 25 ms of beam steering")
    any_pair: bool = Field(default=False, description="[V2] an N-OST model joins any two ports, also of the same side")
    power_monitors: bool = Field(default=False, description="[V1] only some models have them")
    keeps_connections: bool = Field(default=True, description="[INF] whether a restart keeps the connections")
    tl1_user: str = "admin"
    tl1_password: str = "root"
    tl1_name: str = "POLATIS"


class PolatisTwin(ScpiTwin):
    """The switch; connections outlive a lost TCP connection."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    terminator = b"\r\n"

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._parameters = parameters
        p = parameters
        self.matrix = Matrix(name, bench, p.inputs, p.outputs, p.settling_s, any_pair=p.any_pair)
        self._tl1 = Tl1Port(self.matrix, bench.clock, parameters)

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> PolatisTwin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def ports(self) -> Mapping[str, Twin]:
        """Return the SCPI port, 5025, and the TL1 ports, 3082 and 3083."""
        return {"scpi": self, "tl1": self._tl1, "tl1_raw": self._tl1}

    def identify(self) -> str:
        """Answer `*IDN?`; the model has the size in it."""
        p = self._parameters
        size = f"{p.inputs}x{p.outputs}"
        model = f"N-OST-{size}-LA1-DMHNS-801" if p.any_pair else f"N-VST-{size}-LU1-DMHNV-801"
        return f"Polatis,{model},{p.serial},{p.firmware}"

    def reset_power(self) -> None:
        """Restart; the connections stay or go as configured."""
        super().reset_power()
        if not self._parameters.keeps_connections:
            self.matrix.part(list(self.matrix.partner))

    def device_fault(self, name: str, *, active: bool = True, port: int = 1) -> None:
        """Break a port, or repair it."""
        if name != "port_failed" or not 1 <= port <= self.matrix.inputs + self.matrix.outputs:
            msg = f"{self._name}: unknown device fault {name!r} of port {port}; expected port_failed"
            raise TwinError(msg)
        if active:
            self.matrix.part([port])
        (self.matrix.failed.add if active else self.matrix.failed.discard)(port)

    def peek(self) -> dict[str, object]:
        """Return connections and ports that are of no use."""
        return {"connections": self.matrix.pairs, "disabled": sorted(self.matrix.disabled)}

    @query("OXC:SWITch:SIZE?")
    def _size(self) -> str:
        return f"{self.matrix.inputs},{self.matrix.outputs}"

    @command("OXC:SWITch:CONNect:ADD", port_list, port_list)
    def _add(self, firsts: list[int], seconds: list[int]) -> None:
        self._join(firsts, seconds)

    @command("OXC:SWITch:CONNect:ONLY", port_list, port_list)
    def _only(self, firsts: list[int], seconds: list[int]) -> None:
        kept = {frozenset(pair) for pair in zip(firsts, seconds, strict=False)}
        before = self.matrix.pairs
        self._join(firsts, seconds)
        self.matrix.part(a for a, b in before if frozenset((a, b)) not in kept and self.matrix.partner.get(a) == b)

    @command("OXC:SWITch:CONNect:SUB", port_list, port_list)
    def _sub(self, firsts: list[int], seconds: list[int]) -> None:
        if len(firsts) != len(seconds):
            raise ScpiError(LIST_ERROR, "Parameter error")
        if any(self.matrix.partner.get(a) != b for a, b in zip(firsts, seconds, strict=True)):
            raise ScpiError(EXECUTION, "Execution error;not connected")
        self.matrix.part(firsts)

    @query("OXC:SWITch:CONNect:STATe?")
    def _state(self) -> str:
        pairs = self.matrix.pairs
        return f"{write_ports([a for a, _ in pairs])},{write_ports([b for _, b in pairs])}"

    @query("OXC:SWITch:CONNect:PORT?", port_number)
    def _partner(self, port: int) -> str:
        self._known([port])
        return f'"{self.matrix.partner.get(port, "")}"'

    @command("OXC:SWITch:DISConnect:ALL")
    def _disconnect(self) -> None:
        self.matrix.part(list(self.matrix.partner))

    @command("OXC:SWITch:PORT:DISable", port_list)
    def _disable(self, chosen: list[int]) -> None:
        for port in self._known(chosen):
            self.matrix.switch_off(port)

    @command("OXC:SWITch:PORT:ENABle", port_list)
    def _enable(self, chosen: list[int]) -> None:
        self.matrix.disabled.difference_update(self._known(chosen))

    @query("OXC:SWITch:PORT:STATe?", port_list)
    def _port_state(self, chosen: list[int]) -> str:
        return f"({','.join(self.matrix.state(port) for port in self._known(chosen))})"

    @query("PMON:POWer?", port_list)
    def _power(self, chosen: list[int]) -> str:
        if not self._parameters.power_monitors:
            raise ScpiError(-241)
        if len(self._known(chosen)) > LONGEST_QUERY:
            raise ScpiError(LIST_ERROR, "Parameter error")
        return f"({','.join(f'{self.matrix.power_dbm(port):.2f}' for port in chosen)})"

    @query("SYSTem:COMMunicate:NETWork:ADDRess?")
    def _address(self) -> str:
        return 'IP="127.0.0.1" Gateway="127.0.0.1" Netmask="255.0.0.0"'

    def _known(self, chosen: list[int]) -> list[int]:
        try:
            self.matrix.check(chosen)
        except PortError as error:
            raise ScpiError(-222) from error
        return chosen

    def _join(self, firsts: list[int], seconds: list[int]) -> None:
        try:
            self.matrix.join(firsts, seconds)
        except PortError as error:
            unequal = len(firsts) != len(seconds)
            code, words = (LIST_ERROR, "Parameter error") if unequal else (EXECUTION, "Execution error")
            raise ScpiError(code, f"{words};{error}") from error
