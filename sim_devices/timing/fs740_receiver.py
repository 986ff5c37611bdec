"""The FS740's commands for its GPS receiver: position, satellites, date and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError, ScpiTwin, command, parameter, query

if TYPE_CHECKING:
    from sim_devices.timing.gps_discipline import Discipline

__all__ = ["ReceiverCommands"]

LATITUDE_RAD, LONGITUDE_RAD, ALTITUDE_M = 0.65, -2.13, 30.0
SATELLITES = (3, 7, 12, 19, 25, 31)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the lab's time begins on its calendar."""
CONFLICT = -221


class ReceiverCommands(ScpiTwin):
    """Tells what the receiver sees."""

    gps: Discipline

    constellation = parameter("GPS:CONFigure:CONStellation", "GPS", choices=("GPS", "GLONass", "BEIDou", "GALileo"))
    alignment = parameter("GPS:CONFigure:ALIGnment", "UTC", choices=("GPS", "UTC"))
    quality = parameter("GPS:CONFigure:QUALity", "3SAT", choices=("1SAT", "3SAT"))
    antenna_delay_s = parameter("GPS:CONFigure:ADELay", 0.0, limits=(-0.1, 0.1))

    @query("GPS:POSition?")
    def _position(self) -> str:
        return f"{LATITUDE_RAD:.9f},{LONGITUDE_RAD:.9f},{ALTITUDE_M:.2f}"

    @query("GPS:POSition:SURVey:PROGress?")
    def _survey(self) -> int:
        return 100

    @query("GPS:VERSion?")
    def _version(self) -> str:
        return '"1.10","RES SMT 360"'

    @query("GPS:SATellite:USE?")
    def _used(self) -> str:
        used = self._visible()
        return ",".join(map(str, [len(used), *used]))

    @query("GPS:SATellite:TRACking?")
    def _tracked(self) -> str:
        return self._used()

    @query("GPS:SATellite:TRACking:STATus?")
    def _tracking(self) -> str:
        return (
            ",".join(f"{sv},1,1,0,{40 - i},{30 + 5 * i},{60 * i % 360},0" for i, sv in enumerate(self._visible()))
            or "0"
        )

    @query("GPS:SATellite:SNR?")
    def _snr(self) -> int:
        return 40 if self._visible() else 0

    @query("GPS:CONFigure:MODe?")
    def _gps_mode(self) -> str:
        return "0,0.174533,20.0"

    @query("GPS:CONFigure:SURVey[:MODe]?")
    def _survey_mode(self) -> str:
        return "RED"

    @query("GPS:CONFigure:SURVey:FIXes?")
    def _fixes(self) -> int:
        return 2000

    @query("SYSTem:DATE?")
    def _date(self) -> str:
        now = self._now()
        return f"{now.year},{now.month},{now.day}"

    @command("SYSTem:DATE", "SYSTem:TIMe")
    def _set_date(self, *numbers: str) -> None:
        if self.gps.antenna or len(numbers) != 3:
            raise ScpiError(CONFLICT)

    @query("SYSTem:TIMe?")
    def _time(self) -> str:
        now = self._now()
        return f"{now.hour},{now.minute},{now.second + self.clock.now_ps() % PS_PER_S / PS_PER_S:.9f}"

    @query("SYSTem:TIMe:LOFFset?")
    def _local_offset(self) -> int:
        return 0

    def _visible(self) -> tuple[int, ...]:
        return SATELLITES if self.gps.antenna and self.gps.state() not in ("POW", "SEAR") else ()

    def _now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.clock.now_ps() // PS_PER_S)
