"""The DG645 beside its delays: step sizes, display, interfaces, and its status byte."""

from __future__ import annotations

from typing import TypeVar

from qlab.twin.scpi import command, integer, number, optional, parameter, query, word
from qlab.twin.scpi_common import CommonCommands
from sim_devices.sources.dg645_delays import CHANNELS, LONGEST_S, OUTPUTS
from sim_devices.sources.dg645_outputs import OutputTable

__all__ = ["PanelTable"]

INTERFACE = ("1", "9600", "1", "15", "1", "1", "1", "1", "1", "1", "1", "127.0.0.1", "255.0.0.0", "127.0.0.1")
"""[V2] By number: RS-232, baud, GPIB, its address, TCP/IP, DHCP, auto-IP, static, bare socket, telnet, VXI-11, then IP,
mask and gateway."""
INSB, ESB, MSS, BUSY = 0x01, 0x20, 0x40, 0x80
"""[V2] Of `*STB?`; [INF] that the seventh bit is BUSY."""
OUTSIDE_S = 10.0  # [V1] the longest step of the hold-off
INTERNAL_TIME_BASE = 0  # [V1]

T = TypeVar("T")


class PanelTable(OutputTable):
    """Settings that move no edge."""

    status_enable = parameter("INSE", 0, limits=(0, 255))
    display_on = parameter("SHDP", 1, limits=(0, 1))
    rate_step_hz = parameter("SSTR", 1e3, limits=(1e-3, 1e6), fmt="+.6f")
    level_step_v = parameter("SSTL", 0.01, limits=(0.01, 3.5), fmt="+.2f")
    hold_step_s = parameter("SSHD", 1e-9, limits=(0.0, OUTSIDE_S), fmt="+.12f")
    count_step = parameter("SSBC", 1, limits=(1, 2**31 - 1))
    burst_delay_step_s = parameter("SSBD", 1e-9, limits=(0.0, LONGEST_S), fmt="+.12f")
    burst_period_step_s = parameter("SSBP", 1e-9, limits=(0.0, LONGEST_S), fmt="+.12f")

    _steps: list[float]
    _status: int
    _prescale_steps: tuple[int, ...] = (1,) * 5
    _phase_steps: tuple[int, ...] = (1,) * 5
    _amplitude_steps: tuple[float, ...] = (0.1,) * 5
    _offset_steps: tuple[float, ...] = (0.1,) * 5
    _interface: tuple[str, ...] = INTERFACE
    _display = (0, 0)
    _psc = 1

    def busy(self) -> bool:
        """Return whether a cycle of delays is under way."""
        raise NotImplementedError

    def status_byte(self) -> int:
        """Return the status byte."""
        bits = CommonCommands.status_byte(self) & ESB
        bits |= INSB if self._status & int(self.status_enable) else 0
        bits |= BUSY if self.busy() else 0
        return bits | (MSS if bits & self.sre & ~MSS else 0)

    @command("SSDL", CHANNELS, number(0.0, LONGEST_S))
    def _step_size(self, channel: int, seconds: float) -> None:
        self._steps[channel] = seconds

    @query("SSDL?", CHANNELS)
    def _step_size_query(self, channel: int) -> str:
        return f"{self._steps[channel]:+.12f}"

    @command("SPDL", CHANNELS, integer(0, 1))
    def _step(self, channel: int, up: int) -> None:
        reference, seconds = self._delays[channel]
        self._delay(channel, reference, seconds + (1 if up else -1) * self._steps[channel])

    @command("SSPS", OUTPUTS, integer(1, 2**31 - 1))
    def _set_prescale_step(self, output: int, step: int) -> None:
        self._prescale_steps = _replaced(self._prescale_steps, output, step)

    @query("SSPS?", OUTPUTS)
    def _prescale_step(self, output: int) -> int:
        return self._prescale_steps[output]

    @command("SSPH", integer(1, 4), integer(0, 2**31 - 2))
    def _set_phase_step(self, output: int, step: int) -> None:
        self._phase_steps = _replaced(self._phase_steps, output, step)

    @query("SSPH?", integer(1, 4))
    def _phase_step(self, output: int) -> int:
        return self._phase_steps[output]

    @command("SSLA", OUTPUTS, number(0.0, 5.0))
    def _set_amplitude_step(self, output: int, volt: float) -> None:
        self._amplitude_steps = _replaced(self._amplitude_steps, output, volt)

    @query("SSLA?", OUTPUTS)
    def _amplitude_step(self, output: int) -> str:
        return f"{self._amplitude_steps[output]:+.2f}"

    @command("SSLO", OUTPUTS, number(0.0, 2.0))
    def _set_offset_step(self, output: int, volt: float) -> None:
        self._offset_steps = _replaced(self._offset_steps, output, volt)

    @query("SSLO?", OUTPUTS)
    def _offset_step(self, output: int) -> str:
        return f"{self._offset_steps[output]:+.2f}"

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

    @query("*CAL?")
    def _calibrate(self) -> int:
        return 0

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


def _replaced(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1 :])
