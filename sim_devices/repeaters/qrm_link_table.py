"""The QRM twin's commands for entanglement links."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import boolean, choice, command, integer, number, optional, query
from sim_devices.repeaters.qrm_distil_table import DistilTable
from sim_devices.repeaters.qrm_qubit_table import AXIS, QUBIT
from sim_devices.repeaters.qrm_slots import device_error

if TYPE_CHECKING:
    from qlab.physics.register import Axis

__all__ = ["LinkTable"]


class LinkTable(DistilTable):
    """Settings of links and bursts of attempts."""

    @query("LINK#:STATe?")
    def _link_state(self, k: int) -> str:
        return self.module.link_state(self.module.link(k))

    @query("LINK#:PEER?")
    def _peer(self, k: int) -> str:
        peer = self.module.link(k).end.peer
        return peer.node if peer is not None else ""

    @command("LINK#:ENABle", boolean)
    def _enable(self, k: int, on: bool) -> None:
        link = self.module.link(k)
        if not on:
            self.module.abort(link)
        link.enabled, link.outcome = on, ""
        self.make_ready()

    @query("LINK#:ENABle?")
    def _enabled(self, k: int) -> bool:
        return self.module.link(k).enabled

    @command("LINK#:TYPE", choice("K", "M"))
    def _type(self, k: int, kind: str) -> None:
        self.module.link(k).kind = kind

    @query("LINK#:TYPE?")
    def _type_query(self, k: int) -> str:
        return self.module.link(k).kind

    @command("LINK#:BASis", AXIS)
    def _basis(self, k: int, axis: Axis) -> None:
        self.module.link(k).basis = axis

    @query("LINK#:BASis?")
    def _basis_query(self, k: int) -> str:
        return self.module.link(k).basis

    @command("LINK#:ATTempt:MAXimum", integer(1, 2**31 - 1))
    def _most(self, k: int, count: int) -> None:
        self.module.link(k).most = count

    @query("LINK#:ATTempt:MAXimum?")
    def _most_query(self, k: int) -> int:
        return self.module.link(k).most

    @command("LINK#:ATTempt:WINDow", number(1e-9, 1e-3, units="S"))
    def _window(self, k: int, seconds: float) -> None:
        self.module.link(k).window_s = seconds

    @query("LINK#:ATTempt:WINDow?")
    def _window_query(self, k: int) -> float:
        return self.module.link(k).window_s

    @query("LINK#:ATTempt:RATE?")
    def _rate(self, k: int) -> float:
        return PS_PER_S / self.module.link(k).end.period_ps

    @query("LINK#:ATTempt:COUNt?")
    def _count(self, k: int) -> int:
        link = self.module.link(k)
        return link.counted + link.end.attempts(self.clock.now_ps())

    @command("LINK#:GENerate", optional(QUBIT, 1))
    def _generate(self, k: int, target: int) -> None:
        self.known(target)
        if self.dark():
            raise device_error(108)
        if not self.clock_locked():
            raise device_error(107)
        self.module.generate(self.module.link(k), target)

    @command("LINK#:ABORt")
    def _abort(self, k: int) -> None:
        self.module.abort(self.module.link(k))

    @query("LINK#:HERald?")
    def _herald(self, k: int) -> str:
        return ",".join(map(str, self.module.link(k).herald))

    @command("LINK#:CUToff", number(1e-6, math.inf, units="S"))
    def _cut_off(self, k: int, seconds: float) -> None:
        self.module.link(k).cut_off_s = seconds

    @query("LINK#:CUToff?")
    def _cut_off_query(self, k: int) -> float:
        return self.module.link(k).cut_off_s

    @command("LINK#:FMINimum", number(0.0, 1.0))
    def _least(self, k: int, fidelity: float) -> None:
        self.module.link(k).least_fidelity = fidelity

    @query("LINK#:FMINimum?")
    def _least_query(self, k: int) -> float:
        return self.module.link(k).least_fidelity

    def make_ready(self) -> None:
        """Tell the links whether they can be used."""
        raise NotImplementedError

    def clock_locked(self) -> bool:
        """Return whether the module follows its reference."""
        raise NotImplementedError

    def dark(self) -> bool:
        """Return whether a laser or phase lock is lost."""
        raise NotImplementedError
