"""Twin of the SRS FS740 GPS time and frequency system.  Written from protocol sheet 19.

Kept and told without effect: bandwidth, hold-over mode and limit of the loop, limit and duration of the alarm, and what
configures the receiver.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.scpi import ScpiError, choice, command, optional, parameter, query
from sim_devices.timing.fs740_calendar import EPOCH
from sim_devices.timing.fs740_counter import CounterCommands
from sim_devices.timing.fs740_receiver import ReceiverCommands
from sim_devices.timing.gps_discipline import Discipline, Stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qlab.twin.bench import Bench
    from qlab.twin.conversation import Script

__all__ = ["FS740Twin"]

NOTHING = "INV,0,0,0,0,0,0"  # [INF] of an empty list of events
CAPABLE = 4.0  # [V2] firmware before has no PEEK, SNR, VERS and CONS
TIME_CONSTANT_S, MANUAL_CONSTANT_S = 300, 30  # [INF] of the loop
AVERAGED = 10.0  # [INF] by so much the averaged interval is quieter
EFC_TOP_V = 5.0  # [INF] where its control ends
NO_TIME_OF_DAY, WARMING, UNLOCKED, STABILISING = 1 << 0, 1 << 1, 1 << 2, 1 << 5
"""[V1] Bits of `STAT:QUES`, beside those of the faults."""
NO_TIME, ANTENNA_OPEN, ANTENNA_SHORT, NO_SATELLITES, UTC_UNKNOWN, SURVEYING, NO_POSITION = (1 << n for n in range(7))
LEAP_SECOND, POSITION_SUSPECT, NO_ALMANAC, NO_PULSES = 1 << 7, 1 << 9, 1 << 11, 1 << 12
"""[V1] Bits of `STAT:GPS`."""


class Parameters(BaseModel):
    """The `twin:` section: the clock and its surroundings."""

    model_config = ConfigDict(extra="forbid")

    serial: str = "000123"
    firmware: str = Field("4.10", pattern=r"^\d\.\d\d$", description="[V2] below 4.00 some queries are missing")
    begins_locked: bool = True
    warm_s: float = Field(480.0, ge=0, description="[V1] minutes; with rubidium some 8")
    search_s: float = Field(60.0, ge=0, description="[INF]")
    stabilise_s: float = Field(120.0, ge=0, description="[INF]")
    validate_s: float = Field(60.0, ge=0, description="[INF]")
    noise_ns: float = Field(5.0, ge=0, description="[INF] of the interval to GPS")
    holdover_1e12: float = Field(2.0, description="[INF] frequency error in hold-over, in units of 1e-12")
    ageing_1e12_per_day: float = Field(1.0, description="[INF]")


ABSENT = {"antenna_unplugged": "NGPS", "antenna_shorted": "NGPS", "gps_bad": "BGPS"}
"""What `TBAS?` says of each."""
GPS_BITS = {
    "antenna_unplugged": ANTENNA_OPEN | NO_SATELLITES,
    "antenna_shorted": ANTENNA_SHORT | NO_SATELLITES,
    "gps_bad": POSITION_SUSPECT,
}
SEARCHING = NO_TIME | UTC_UNKNOWN | NO_POSITION | NO_ALMANAC  # [INF] which bits the search for satellites sets
QUES_BITS = {"rubidium_unlocked": 1 << 10, "pll_unlocked": 1 << 11, "efc_10mhz": 1 << 12, "efc_saturated": 1 << 13}
"""[V1]"""
WARNINGS = {"leap_second_pending": LEAP_SECOND, "no_pulses": NO_PULSES}
FAULTS = (*ABSENT, *QUES_BITS, *WARNINGS)


class FS740Twin(CounterCommands, ReceiverCommands):
    """The clock."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    terminator = b"\r\n"
    no_error = '0,"No error"'
    status_groups: ClassVar[Sequence[str]] = ("OPERation", "QUEStionable", "GPS")
    summary_bits: ClassVar[Mapping[str, int]] = {"OPERation": 0x80, "QUEStionable": 0x08, "GPS": 0x02}

    lock_on = parameter("TBASe:CONFigure:LOCK", 1, limits=(0, 1), changed="_lock_changed")
    bandwidth = parameter("TBASe:CONFigure:BWIDth", "AUT", choices=("AUTo", "MANual"))
    holdover_mode = parameter("TBASe:CONFigure:HMODe", "WAIT", choices=("WAIT", "JUMP", "SLEW"))
    limit_s = parameter("TBASe:CONFigure[:TINTerval]:LIMit", 1e-6, limits=(5e-8, 1.0))
    alarm_mode = parameter("SYSTem:ALARm:MODe", "TRAC", choices=("TRACk", "LATCh", "FORCe"))
    alarm_enable = parameter("SYSTem:ALARm:ENABle", 0, limits=(0, 0xFFFF))
    alarm_limit_s = parameter("SYSTem:ALARm:TINTerval", 1e-7, limits=(5e-8, 1.0))
    alarm_holdover_s = parameter("SYSTem:ALARm[:HOLDover]:DURation", 0, limits=(0, 2**31 - 1))
    output_delay_s = parameter("SOURce3:PHASe:SYNC:TDELay", 0.0, limits=(-0.5, 0.5), changed="_delay_changed")

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        p = self._parameters = parameters
        self._name = name
        self._bench = bench
        self._faults: set[str] = set()
        self.gps = Discipline(
            name,
            bench,
            Stages(p.warm_s, p.search_s, p.stabilise_s, p.validate_s),
            noise_ns=p.noise_ns,
            holdover_1e12=p.holdover_1e12,
            ageing_1e12_per_day=p.ageing_1e12_per_day,
            locked=p.begins_locked,
        )
        self._latched = self._alarm_on = False
        self._alarmed = 0
        self._owner = False
        self._stored: list[float] = []
        self._configured: dict[int, str] = {}
        self._fetched: dict[int, str] = {}

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> FS740Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"Stanford Research Systems,FS740,s/n{self._parameters.serial},ver{self._parameters.firmware}"

    def reset_power(self) -> None:
        """Power was cycled: it warms up."""
        super().reset_power()
        self.gps.power_up()

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Take antenna, good satellites or a lock away, announce a leap second; or take it back."""
        if name not in FAULTS:
            msg = f"{self._name}: unknown device fault {name!r}; expected one of {', '.join(FAULTS)}"
            raise TwinError(msg)
        (self._faults.add if active else self._faults.discard)(name)
        if name in ABSENT:
            self.gps.switch_antenna(on=not active, word=ABSENT[name])
        self.gps.unlocked = bool(self._faults.intersection(QUES_BITS))
        self.gps.note()
        self.refresh_status()

    def peek(self) -> dict[str, object]:
        """Return state and time interval."""
        return {"state": self.gps.state(), "interval_s": self.gps.interval_s()}

    def answer(self, message: bytes) -> Script:
        """Carry out one message."""
        self.gps.note()
        yield from super().answer(message)

    def on_reset(self) -> None:
        """Discipline it again, and delay no pulse."""
        self._lock_changed()
        self._delay_changed()

    def _delay_changed(self) -> None:
        self.gps.delay_output(float(self.output_delay_s))

    def _lock_changed(self) -> None:
        self.gps.switch_lock(on=bool(self.lock_on))

    def refresh_status(self) -> None:
        """Bring the condition registers up to date."""
        state = self.gps.state()
        bits = NO_TIME_OF_DAY if state in ("POW", "SEAR") else 0
        bits |= WARMING if state == "POW" else 0
        bits |= UNLOCKED if state != "LOCK" else 0
        bits |= sum(QUES_BITS.get(name, 0) for name in self._faults)
        self.status["QUEStionable"].set_condition(bits | (STABILISING if state == "STAB" else 0))
        missing = 0
        for name in self._faults:
            missing |= GPS_BITS.get(name, 0) | WARNINGS.get(name, 0)
        found = SEARCHING if state in ("POW", "SEAR") else SURVEYING if state == "STAB" else 0
        self.status["GPS"].set_condition(missing | found)
        condition = self.status["QUEStionable"].condition
        self._alarmed |= condition
        self._alarm_on = bool(condition & int(self.alarm_enable)) or self.alarm_mode == "FORC"
        self._latched = self._latched or (self._alarm_on and self.alarm_mode == "LATC")

    @query("*OPT?")
    def _options(self) -> str:
        return "2,A,A,A"

    @query("TBASe[:STATe]?")
    def _state(self) -> str:
        return self.gps.state()

    @query("TBASe[:STATe]:WARMup[:DURation]?")
    def _warm(self) -> int:
        return self.gps.seconds_in("POW")

    @query("TBASe[:STATe]:LOCK[:DURation]?")
    def _lock(self) -> int:
        return self.gps.seconds_in("LOCK")

    @query("TBASe[:STATe]:HOLDover[:DURation]?")
    def _hold(self) -> int:
        return self.gps.seconds_in("NGPS")

    @query("TBASe:TCONstant?", optional(choice("MANual"), ""))
    def _time_constant(self, which: str) -> int:
        return MANUAL_CONSTANT_S if which else TIME_CONSTANT_S

    @query("TBASe:TINTerval?", optional(choice("AVERage"), ""))
    def _interval(self, which: str) -> str:
        value = self.gps.interval_s()
        return f"{value / AVERAGED if which and self.gps.state() == 'LOCK' else value:.9E}"

    @query("TBASe:FCONtrol?")
    def _control(self) -> str:
        return f"{EFC_TOP_V if 'efc_saturated' in self._faults else self.gps.control_v():.4f}"

    @query("TBASe:EVENt:COUNt?")
    def _event_count(self) -> int:
        return len(self.gps.events)

    @query("TBASe:EVENt[:NEXT]?")
    def _event(self) -> str:
        return self._event_text(self.gps.events.pop(0)) if self.gps.events else NOTHING

    @query("TBASe:EVENt:PEEK?")
    def _event_peek(self) -> str:
        self.need_new_firmware()
        return self._event_text(self.gps.events[0]) if self.gps.events else NOTHING

    @query("SYSTem:COMMunicate:LOCK?")
    def _own(self) -> int:
        granted, self._owner = not self._owner, True
        return int(granted)

    @query("SYSTem:COMMunicate:UNLock?")
    def _disown(self) -> int:
        self._owner = False
        return 1

    @query("SYSTem:ALARm[:STATe]?")
    def _alarm(self) -> int:
        self.refresh_status()
        return int(self._alarm_on or self._latched)

    @query("SYSTem:ALARm:CONDition?")
    def _alarm_condition(self) -> int:
        self.refresh_status()
        return self.status["QUEStionable"].condition

    @query("SYSTem:ALARm:EVENt?")
    def _alarm_event(self) -> int:
        """Tell what has been since it was asked last."""
        self.refresh_status()
        found, self._alarmed = self._alarmed, 0
        return found

    @command("SYSTem:ALARm:CLEar")
    def _alarm_clear(self) -> None:
        self._latched = False

    def need_new_firmware(self) -> None:
        """Know no such command where the firmware is older than 4.00."""
        if float(self._parameters.firmware) < CAPABLE:
            raise ScpiError(-113)

    def _event_text(self, event: tuple[str, int]) -> str:
        when = EPOCH + timedelta(seconds=event[1] // PS_PER_S)
        return f"{event[0]},{when.year},{when.month},{when.day},{when.hour},{when.minute},{when.second}"
