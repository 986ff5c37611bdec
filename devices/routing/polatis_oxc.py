"""Polatis (HUBER+SUHNER) optical circuit switch: joins any input to any output; one source for many detectors.

SCPI over TCP 5025.  Inputs are 1 to N, outputs N+1 to N+M; a connection settles in some 20 ms and outlives the link.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.signals import ScpiSignal
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
    link_options = {"terminator": b"\r\n", "command_terminator": b"\n"}

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        routes: dict[int, int] | None = None
        """Output by input."""

    connections = Cpt(
        ScpiSignal,
        query=":OXC:SWIT:CONN:STAT?",
        parse=_map,
        initial=np.empty((0, 2), np.int64),
        kind="normal",
    )

    inputs = outputs = 0

    def check_identity(self, link: Link) -> None:
        """See that a switch answers, and learn its size."""
        super().check_identity(link)
        size = SIZE.search(self.identity_text)
        if size is not None:
            self.inputs, self.outputs = int(size[1]), int(size[2])

    def apply_settings(self) -> None:
        """Make the lab file's connections."""
        if self.settings.routes:
            self._connect(self.settings.routes)

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
        """Return the ports that have failed."""
        last = self.inputs + self.outputs
        ports = range(1, last + 1)
        query = f":OXC:SWIT:PORT:STAT? (@{','.join(map(str, ports))})"
        states = self.ask(query).strip().strip("()").split(",")
        if len(states) != last:
            self.link.distrust()
            what = "the switch reports another number of ports"
            raise BadReplyError(what, device=self.name, command=query, found=str(len(states)), expected=str(last))
        failed = [str(port) for port, state in zip(ports, states, strict=True) if state == "F"]
        return [f"port{'s' if len(failed) > 1 else ''} {', '.join(failed)} out of order"] if failed else []

    def _check(self, routes: Mapping[int, int]) -> None:
        for one, other in routes.items():
            low, high = sorted((one, other))
            if not 1 <= low <= self.inputs < high <= self.inputs + self.outputs:
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
        wanted = {tuple(sorted(pair)) for pair in routes.items()}
        if missing := wanted - set(self.routes.items()):
            what = "the switch did not make a connection"
            found, expected = str(self.routes), ", ".join(f"{a} to {b}" for a, b in sorted(missing))
            raise InstrumentError(what, device=self.name, found=found, expected=expected)

    def _disconnect_all(self) -> None:
        self.tell(":OXC:SWIT:DISC:ALL")
        self.connections.fetch()
