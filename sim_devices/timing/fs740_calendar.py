"""The FS740's date and time of day: GPS owns them as long as it is there, then anybody may set them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError, ScpiTwin, command, number, query

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim_devices.timing.gps_discipline import Discipline

__all__ = ["EPOCH", "CalendarCommands"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the lab's time begins on its calendar."""
CONFLICT = -221  # [V2]
TIME_STEP_PS = 10_000  # [V2] of the time of day


class CalendarCommands(ScpiTwin):
    """Date and time."""

    gps: Discipline
    _shift = timedelta()

    @query("SYSTem:DATE?")
    def _date(self) -> str:
        now = self._now()
        return f"{now.year},{now.month},{now.day}"

    @command("SYSTem:DATE", number(2000, 2099), number(1, 12), number(1, 31))
    def _set_date(self, year: float, month: float, day: float) -> None:
        self._set(lambda now: now.replace(year=int(year), month=int(month), day=int(day)))

    @command("SYSTem:TIMe", number(0, 23), number(0, 59), number(0, 59))
    def _set_time(self, hour: float, minute: float, second: float) -> None:
        self._set(lambda now: now.replace(hour=int(hour), minute=int(minute), second=int(second)))

    def _set(self, change: Callable[[datetime], datetime]) -> None:
        """Set part of date and time, while GPS does not own them."""
        if self.gps.antenna:
            raise ScpiError(CONFLICT)
        now = self._now()
        try:
            self._shift += change(now) - now
        except ValueError as error:  # the 30th of February
            raise ScpiError(-222) from error

    @query("SYSTem:TIMe?")
    def _time(self) -> str:
        now = self._now()
        part = self.clock.now_ps() % PS_PER_S // TIME_STEP_PS * TIME_STEP_PS / PS_PER_S
        return f"{now.hour},{now.minute},{now.second + part:.9f}"

    @query("SYSTem:TIMe:LOFFset?")
    def _local_offset(self) -> int:
        return 0

    def _now(self) -> datetime:
        if self.gps.antenna:
            self._shift = timedelta()  # GPS knows better
        return EPOCH + timedelta(seconds=self.clock.now_ps() // PS_PER_S) + self._shift
