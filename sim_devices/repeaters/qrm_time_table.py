"""The QRM twin's commands for time, micro-programme and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.physics.oscillator import Oscillator
from qlab.twin.scpi import ScpiError, block, choice, command, integer, optional, query
from sim_devices.repeaters.qrm_events import MOST_AT_ONCE
from sim_devices.repeaters.qrm_link_table import LinkTable
from sim_devices.repeaters.qrm_slots import device_error

if TYPE_CHECKING:
    from sim_devices.repeaters.qrm_programme import Programme

__all__ = ["TimeTable"]

TAI_AT_ZERO_S = 1_767_225_637
"""TAI seconds at 2026-01-01T00:00:00 UTC, where the lab's time begins."""


class TimeTable(LinkTable):
    """Picoseconds since an epoch, of the reference or of its own oscillator."""

    programme: Programme
    tick_hz: float
    internal_clock_error: float
    external = True
    reference_good = True
    _epoch_s = TAI_AT_ZERO_S
    reference = Oscillator()
    """The node's clock."""
    _since_ps = 0
    _oscillator = Oscillator()

    def clock_locked(self) -> bool:
        """Return whether the module follows its reference."""
        return self.external and self.reference_good

    def synchronise(self, now_ps: int) -> None:
        """Begin a new epoch with the reference's running second, and run with the reference or without."""
        shown_ps = self.reference.local(now_ps)
        whole_s = shown_ps // PS_PER_S
        self._epoch_s = TAI_AT_ZERO_S + whole_s
        self._follow(now_ps, shown_ps - whole_s * PS_PER_S)

    def _follow(self, now_ps: int, local_ps: int) -> None:
        """From now on count with the chosen source."""
        if self.external:
            self._since_ps, self._oscillator = (
                0,
                Oscillator(local_ps - self.reference.local(now_ps), master=self.reference),
            )
        else:
            self._since_ps, self._oscillator = now_ps, Oscillator(local_ps, self.internal_clock_error)

    def local_ps(self, t_ps: int) -> int:
        """Return the module's own time at a lab time."""
        return max(self._oscillator.local(t_ps - self._since_ps), 0)

    @command("TIME:SOURce", choice("INTernal", "EXTernal"))
    def _source(self, source: str) -> None:
        now_ps = self.clock.now_ps()
        local_ps = self.local_ps(now_ps)
        self.external = source == "EXT"
        self._follow(now_ps, local_ps)
        self.make_ready()

    @query("TIME:SOURce?")
    def _source_query(self) -> str:
        return "EXT" if self.external else "INT"

    @command("TIME:SYNC")
    def _sync(self) -> None:
        if not self.clock_locked():
            raise device_error(107)
        self.synchronise(self.clock.now_ps())

    @query("TIME:EPOCh?")
    def _epoch(self) -> int:
        return self._epoch_s

    @query("TIME:NOW?")
    def _now(self) -> int:
        return self.local_ps(self.clock.now_ps())

    @query("TIME:LOCK?")
    def _lock(self) -> bool:
        return self.clock_locked()

    @query("TICK:FREQuency?")
    def _tick(self) -> float:
        return self.tick_hz

    @command("TICK:PROGram", block)
    def _programme(self, data: bytes) -> None:
        self.programme.load(data)

    @command("TICK:RUN")
    def _run(self) -> None:
        self.programme.run()

    @command("TICK:STOP")
    def _stop(self) -> None:
        self.programme.stop()

    @query("TICK:STATe?")
    def _tick_state(self) -> str:
        return f"{'RUN' if self.programme.running else 'STOP'},{self.programme.counter}"

    @query("EVENt:COUNt?")
    def _event_count(self) -> int:
        return len(self.module.events)

    @query("EVENt:DATA?", optional(integer(1, 2**31 - 1), 100))
    def _event_data(self, count: int) -> bytes:
        if count > MOST_AT_ONCE:
            raise ScpiError(-222)
        return self.module.events.take(count)

    @command("EVENt:CLEar")
    def _event_clear(self) -> None:
        self.module.events.clear()

    @query("EVENt:OVERflow?")
    def _event_overflow(self) -> bool:
        return self.module.events.overflowed
