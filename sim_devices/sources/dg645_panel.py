"""The DG645 beside its delays: display, interfaces, and its status byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.twin.scpi import ScpiError, command, integer, optional, parameter, query, word
from qlab.twin.scpi_common import CommonCommands
from sim_devices.sources.dg645_steps import StepTable

if TYPE_CHECKING:
    from qlab.clock import Clock

__all__ = ["PanelTable"]

INTERFACE = ("1", "9600", "1", "15", "1", "1", "1", "1", "1", "1", "1", "127.0.0.1", "255.0.0.0", "127.0.0.1")
"""[V2] By number: RS-232, baud, GPIB, its address, TCP/IP, DHCP, auto-IP, static, bare socket, telnet, VXI-11, then IP,
mask and gateway."""
INSB, MAV, ESB, MSS = 0x01, 0x10, 0x20, 0x40
"""[V2] Of `*STB?`."""
BUSY, BURST = 0x02, 0x04
"""[V1] As SRS's own driver has them; the sheet infers BUSY at bit 7."""
INTERNAL_TIME_BASE = 0  # [V1]


class PanelTable(StepTable):
    """Settings that move no edge."""

    status_enable = parameter("INSE", 0, limits=(0, 255))
    display_on = parameter("SHDP", 1, limits=(0, 1))
    _status: int
    burst: int
    _interface: tuple[str, ...] = INTERFACE
    _display = (0, 0)
    _psc = 1

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.failures: dict[str, int] = {}
        """What the tests find, with its error number."""

    def busy(self) -> bool:
        """Return whether a cycle of delays is under way."""
        raise NotImplementedError

    def status_byte(self) -> int:
        """Return the status byte."""
        bits = CommonCommands.status_byte(self) & (MAV | ESB)
        bits |= INSB if self._status & int(self.status_enable) else 0
        bits |= (BUSY | (BURST if self.burst else 0)) if self.busy() else 0
        return bits | (MSS if bits & self.sre & ~MSS else 0)

    @command("IFCF", integer(0, 13), word)
    def _set_interface(self, item: int, value: str) -> None:
        self._interface = (*self._interface[:item], value, *self._interface[item + 1 :])

    @query("IFCF?", integer(0, 13))
    def _interface_query(self, item: int) -> str:
        return self._interface[item]

    @command("IFRS", integer(0, 2))
    def _restart_interface(self, which: int) -> None:
        """Take the settings of an interface into use; the twin's own stays where it is."""

    @query("EMAC?")
    def _mac(self) -> str:
        return "00:19:b3:00:00:01"

    @query("TIMB?")
    def _time_base(self) -> int:
        return INTERNAL_TIME_BASE

    def self_test(self) -> int:
        """Carry out `*TST?`."""
        return self._failure("self_test")

    @query("*CAL?")
    def _calibrate(self) -> int:
        return self._failure("calibration")

    def _failure(self, name: str) -> int:
        code = self.failures.get(name, 0)
        if code:
            self.fail(ScpiError(code))
        return code

    @command("*PSC", integer(0, 1))
    def _set_psc(self, clear: int) -> None:
        self._psc = clear

    @query("*PSC?")
    def _psc_query(self) -> int:
        return self._psc

    @command("DISP", integer(0, 20), optional(integer(0, 9), 0))
    def _show(self, kind: int, channel: int) -> None:
        self._display = (kind, channel)

    @query("DISP?")
    def _shown(self) -> str:
        return f"{self._display[0]},{self._display[1]}"

    @command("LCAL", "REMT")
    def _remote(self) -> None:
        """Leave or enter remote mode."""
