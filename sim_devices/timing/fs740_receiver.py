"""The FS740's commands for its GPS receiver: position and satellites."""

from __future__ import annotations

from qlab.twin.scpi import choice, command, parameter, query
from sim_devices.timing.fs740_calendar import CalendarCommands

__all__ = ["ReceiverCommands"]

LATITUDE_RAD, LONGITUDE_RAD, ALTITUDE_M = 0.65, -2.13, 30.0
SATELLITES = (3, 7, 12, 19, 25, 31)
SURVEY_PERCENT = {"POW": 0, "SEAR": 0, "STAB": 50}
"""[INF] How far the survey of the antenna's position is; 100 in any other state."""


class ReceiverCommands(CalendarCommands):
    """Tells what the receiver sees."""

    _constellation = "GPS"

    alignment = parameter("GPS:CONFigure:ALIGnment", "UTC", choices=("GPS", "UTC"))
    quality = parameter("GPS:CONFigure:QUALity", "3SAT", choices=("1SAT", "3SAT"))
    antenna_delay_s = parameter("GPS:CONFigure:ADELay", 0.0, limits=(-0.1, 0.1))

    def need_new_firmware(self) -> None:
        """Know no such command where the firmware is too old for it."""
        raise NotImplementedError

    @command("GPS:CONFigure:CONStellation", choice("GPS", "GLONass", "BEIDou", "GALileo"))
    def _set_constellation(self, name: str) -> None:
        self.need_new_firmware()
        self._constellation = name

    @query("GPS:CONFigure:CONStellation?")
    def _constellation_query(self) -> str:
        self.need_new_firmware()
        return self._constellation

    @query("GPS:POSition?")
    def _position(self) -> str:
        return f"{LATITUDE_RAD:.9f},{LONGITUDE_RAD:.9f},{ALTITUDE_M:.2f}"

    @query("GPS:POSition:SURVey:PROGress?")
    def _survey(self) -> int:
        return SURVEY_PERCENT.get(self.gps.state(), 100)

    @query("GPS:VERSion?")
    def _version(self) -> str:
        self.need_new_firmware()
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
        self.need_new_firmware()
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

    def _visible(self) -> tuple[int, ...]:
        return SATELLITES if self.gps.antenna and self.gps.state() not in ("POW", "SEAR") else ()
