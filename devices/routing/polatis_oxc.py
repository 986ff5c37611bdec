"""Polatis (HUBER+SUHNER) optical circuit switch: joins any input to any output; one source for many detectors.

SCPI over TCP 5025.  Inputs are 1 to N, outputs N+1 to N+M; a connection settles in some 20 ms and outlives the link.  An
N-OST model joins any two ports, also of the same side; some models have a power monitor at each port.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal, SoftSignal
from qlab.errors import BadReplyError, InstrumentError, LimitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from devices.worker import WorkerStatus
    from qlab.links.link import Link

__all__ = ["PolatisOXC"]

SETTLING_S = 0.03
"""[INF] Beam steering takes 10 to 25 ms."""
SIZE = re.compile(r"-(\d+)x(\d+)-")
MOST_MONITORS = 256
"""[V1] Ports of one power query."""


def _map(text: str) -> NDArray[np.int64]:
    """Read `(@1,2),(@17,18)` as pairs, shape (n, 2)."""
    lists = re.fullmatch(r"\(@([\d,]*)\),\(@([\d,]*)\)", text.strip())
    if lists is None:
        msg = "no two lists of ports"
        raise ValueError(msg)
    sides = [[int(port) for port in side.split(",") if port] for side in lists.groups()]
    return np.array(sides, np.int64).reshape(2, -1).T


class PolatisOXC(ScpiInstrument):
    """The switch; role `qlab.roles.Switch`.

    Attributes
    ----------
    inputs, outputs:
        How many ports it has on either side.
    """

    identity = r"^Polatis,.*-\d+x\d+-"
    twin = "sim_devices.routing.polatis_oxc.PolatisTwin"
    usual_addresses = ("TCPIP0::HOST::5025::SOCKET", "ASRL/dev/ttyUSB0::INSTR")
    link_options = {"baud": 38400, "terminator": b"\r\n", "command_terminator": b"\n"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        routes: dict[int, int] | None = None
        """Output by input."""
        power_monitors: bool = False
        """Whether the model has them, so that they are read."""

    connections = Cpt(
        ScpiSignal, query=":OXC:SWIT:CONN:STAT?", parse=_map, initial=np.empty((0, 2), np.int64), kind="normal"
    )

    powers_dbm = Cpt(SoftSignal, initial=np.empty(0), units="dBm", kind="omitted")

    inputs = outputs = 0
    any_pair = False

    def __init__(self, prefix: str = "", **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self._wanted: dict[int, int] = {}

    def check_identity(self, link: Link) -> None:
        """See that a switch answers, and learn its size."""
        super().check_identity(link)
        size = SIZE.search(self.identity_text)
        if size is not None:
            self.inputs, self.outputs = int(size[1]), int(size[2])
        self.any_pair = "-OST-" in self.identity_text
        self.powers_dbm.kind = "normal" if self.settings.power_monitors else "omitted"

    def apply_settings(self) -> None:
        """Make the lab file's connections."""
        if self.settings.routes:
            self._connect(self.settings.routes)

    def restore(self) -> None:
        """Make connections again that a restart of the switch took apart; what it refuses is a matter of health."""
        super().restore()
        for lost in self._lost_routes().items():
            with suppress(InstrumentError):
                self._connect(dict([lost]))

    def measure(self) -> None:
        """Fetch connections, and powers where there are monitors."""
        super().measure()
        if self.settings.power_monitors:
            ports = range(1, self.inputs + self.outputs + 1)
            pieces = [ports[at : at + MOST_MONITORS] for at in range(0, len(ports), MOST_MONITORS)]
            self.powers_dbm.remember(np.array([power for piece in pieces for power in self._powers(piece)]))

    @property
    def routes(self) -> dict[int, int]:
        """Output by input, as last fetched."""
        return {int(a): int(b) for a, b in self.connections.get()}

    def set(self, routes: Mapping[int, int]) -> WorkerStatus:
        """Join inputs to outputs, `{1: 17}`; done when the beams have settled.  Connections of other ports stay."""
        self._check(routes)
        return self.in_thread("connect", lambda: self._connect(routes))

    def disconnect_all(self) -> WorkerStatus:
        """Take all connections apart."""
        return self.in_thread("disconnect", lambda: self._disconnect_all())

    def check_health(self) -> list[str]:
        """Return the ports that have failed, and connections of ours that are gone."""
        last = self.inputs + self.outputs
        ports = range(1, last + 1)
        query = f":OXC:SWIT:PORT:STAT? (@{','.join(map(str, ports))})"
        states = self.ask(query).strip().strip("()").split(",")
        if len(states) != last:
            self.link.distrust()
            what = "the switch reports another number of ports"
            raise BadReplyError(what, device=self.name, command=query, found=str(len(states)), expected=str(last))
        failed = [str(port) for port, state in zip(ports, states, strict=True) if state == "F"]
        found = [f"port{'s' if len(failed) > 1 else ''} {', '.join(failed)} out of order"] if failed else []
        return found + [f"ports {a} and {b} are no longer joined" for a, b in self._lost_routes().items()]

    def _check(self, routes: Mapping[int, int]) -> None:
        for one, other in routes.items():
            low, high = sorted((one, other))
            across = low <= self.inputs < high or (self.any_pair and low != high)
            if not 1 <= low <= high <= self.inputs + self.outputs or not across:
                msg = (
                    f"{self.name}: a connection of {one} and {other}; expected an input from 1 to {self.inputs} and "
                    f"an output from {self.inputs + 1} to {self.inputs + self.outputs}"
                )
                raise LimitError(msg)

    def _connect(self, routes: Mapping[int, int]) -> None:
        self._check(routes)
        ones, others = ",".join(map(str, routes)), ",".join(map(str, routes.values()))
        self.tell(f":OXC:SWIT:CONN:ADD (@{ones}),(@{others})")
        self.wait_s(SETTLING_S)
        self.connections.fetch()
        made = {min(pair): max(pair) for pair in routes.items()}
        if missing := made.items() - self.routes.items():
            what = "the switch did not make a connection"
            found, expected = str(self.routes), ", ".join(f"{a} to {b}" for a, b in sorted(missing))
            raise InstrumentError(what, device=self.name, found=found, expected=expected)
        used = made.keys() | made.values()
        self._wanted = {a: b for a, b in self._wanted.items() if not {a, b} & used} | made

    def _lost_routes(self) -> dict[int, int]:
        """Return the connections that we made and that are not there; blocks for the wire."""
        if self._wanted:
            self.connections.fetch()
        return dict(self._wanted.items() - self.routes.items())

    def _powers(self, ports: range) -> list[float]:
        query = f":PMON:POW? (@{','.join(map(str, ports))})"
        found = self.ask(query)
        try:
            powers = [float(each) for each in found.strip().strip("()").split(",")]
        except ValueError:
            powers = []
        if len(powers) != len(ports):
            self.link.distrust()
            what, expected = "the reply is not a power for each port", f"{len(ports)} numbers"
            raise BadReplyError(what, device=self.name, command=query, found=found, expected=expected)
        return powers

    def _disconnect_all(self) -> None:
        self.tell(":OXC:SWIT:DISC:ALL")
        self._wanted = {}
        self.connections.fetch()
