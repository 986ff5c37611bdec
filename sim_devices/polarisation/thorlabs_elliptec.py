"""Twin of the Thorlabs ELL14 rotation mount and of the multidrop bus it hangs on.

Written from protocol sheet 13. The mount turns a wave plate of the world: its angle is the knob
`bench.plate_angle(name)`, which follows every move as a ramp in lab time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from qlab.errors import TwinError
from qlab.physics.knob import Ramp
from sim_devices.polarisation.elliptec_bus import BusConversation, ElliptecBusTwin, Motion
from sim_devices.polarisation.elliptec_frames import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["ELL14Twin", "ElliptecBusTwin"]

PULSES_PER_TURN = 143_360  # [V2] ELL14: 0x00023000 in the reply to `in`
TYPE_ELL14 = 0x0E  # [V2]
OK, COMM_TIMEOUT, MECHANICAL_TIMEOUT, UNSUPPORTED, OUT_OF_RANGE, BUSY = 0, 1, 2, 3, 4, 9  # [V2] status codes
LONGEST_ABSOLUTE_TURNS = 1  # [INF] `ma` beyond one turn either way is out of range
WRAPS_AFTER_TURN = True  # [INF] the counter falls back by a turn after a relative move or jog beyond it
STALL_TIMEOUT_S = 2.0  # [INF] how long the module pushes before it reports a mechanical time-out
STALLS_BELOW = 0.3  # [INF] fraction of the resonance drive below which the motor no longer moves
SEARCH_S = 2.0  # [V1] a frequency search takes seconds; the number is [INF]
CURRENT_PER_A = 1866  # [V2] current field of `i1`
PERIOD_CLOCK_HZ = 14_740_000  # [V2] frequency = clock / period
RESONANCE_HZ = 100_000  # [INF] of both motors, as delivered
MOTOR_CURRENT_A = 0.4  # [INF]
PERIOD_BITS = 0x7FFF  # [INF] the top bit of a period says "store"
JOG_COUNTS = 0x2000  # [INF] 20.6 degrees, as delivered
PS = 1_000_000_000_000


class Parameters(BaseModel):
    """The `twin:` section of an ELL14; every value is a property of the module, not a setting."""

    model_config = ConfigDict(extra="forbid")

    serial: str = Field("11400051", pattern="^[0-9]{8}$", description="serial number, [V2] example of the manual")
    year: int = Field(2023, ge=2000, le=2099, description="of manufacture, [V2] as the serial")
    firmware: int = Field(0x17, ge=0, le=255, description="[V2] as the serial")
    hardware: int = Field(0x01, ge=0, le=255, description="[V2] as the serial; bit 7: imperial thread")
    address: str = Field("0", pattern="^[0-9A-F]$", description="bus address as delivered")
    start_angle_deg: float | None = Field(None, description="plate angle at power-on; without it the world's")
    speed_deg_per_s: float = Field(430.0, gt=0, description="speed at velocity 100 %, [V2] up to 430 deg/s")
    settle_s: float = Field(0.05, ge=0, description="time of a move beside travel, [INF] moves take 0.1 to 1 s")
    repeatability_deg: float = Field(0.05, ge=0, description="standard deviation of the stop, [INF] 0.05 to 0.2 deg")
    encoder_noise_pulses: int = Field(2, ge=0, description="largest difference of read and wanted position, [INF]")
    interim_busy: bool = Field(default=False, description="send GS09 when a move starts, [V2] depends on firmware")


@dataclass(frozen=True, slots=True)
class _Stored:
    """What `us` keeps over a power cycle."""

    address: str
    velocity_percent: int = 100
    jog_counts: int = JOG_COUNTS
    home_offset_counts: int = 0
    periods: tuple[int, ...] = (round(PERIOD_CLOCK_HZ / RESONANCE_HZ),) * 4
    """f1, b1, f2, b2; told and kept, while the drive finds its resonance whatever they are."""


def _signed(data: str) -> int:
    value = int(data, 16)
    return value - (1 << 32) if value >= 1 << 31 else value


def _hex32(value: int) -> str:
    return f"{value & 0xFFFFFFFF:08X}"


Handler = Callable[["ELL14Twin", Frame, int], "str | Motion"]
_COMMANDS: dict[str, Handler] = {}


def command(*letters: str) -> Callable[[Handler], Handler]:
    """Enter a method into the command table under the two letters of the manual."""

    def enter(handler: Handler) -> Handler:
        _COMMANDS.update(dict.fromkeys(letters, handler))
        return handler

    return enter


class ELL14Twin:
    """One rotation mount; a Twin by itself (a bus of one) and a unit of an `ElliptecBusTwin`."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "serial"
    multi: ClassVar[bool] = True

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self._stored = self._live = _Stored(address=parameters.address)
        self._group: str | None = None
        self._knob = bench.plate_angle(name)
        self.clock = bench.clock
        self._motion: Motion | None = None
        self._error = OK
        self._stalled = False
        self._drive = 1.0
        now_ps = self.clock.now_ps()
        if parameters.start_angle_deg is not None:
            self._knob.set(parameters.start_angle_deg, now_ps)
        self._counts = 0
        self._zero_deg = self._knob.value(now_ps)

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> ELL14Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    @classmethod
    def combine(cls, units: Mapping[str, ELL14Twin]) -> ElliptecBusTwin:
        """Put mounts on one bus, by address."""
        return ElliptecBusTwin(units)

    def connect(self) -> BusConversation:
        """Connect a host to a bus with this module alone."""
        return BusConversation((self,), self.clock)

    def reset_power(self) -> None:
        """Power the module up again: saved settings, and a position counter that starts at zero wherever it stands."""
        now_ps = self.clock.now_ps()
        self._halt(now_ps)
        self._live, self._group, self._error = self._stored, None, OK
        self._counts, self._zero_deg = 0, self._knob.value(now_ps)

    def set_address(self, address: str) -> None:
        """Give the module the bus address it was configured to before delivery."""
        self._stored, self._live = replace(self._stored, address=address), replace(self._live, address=address)

    def peek(self) -> dict[str, object]:
        """Return the front-panel state."""
        now_ps = self.clock.now_ps()
        self._settle(now_ps)
        return {
            "address": self._live.address,
            "position_pulses": self._position(now_ps),
            "angle_deg": self._knob.value(now_ps),
            "moving": self._motion is not None,
            "velocity_percent": self._live.velocity_percent,
            "status": self._error,
        }

    def device_fault(self, name: str, **kw: object) -> None:
        """Arm a fault: `stall` (active), `resonance_drift` (drive 0..1), `status` (code latched for the next reply)."""
        if name == "stall":
            self._stalled = bool(kw.get("active", True))
        elif name == "resonance_drift":
            self._drive = float(str(kw.get("drive", 0.2)))
        elif name == "status":
            self._error = int(str(kw.get("code", 0x0C)))
        else:
            msg = f"{self._name}: no device fault {name!r}; there are stall, resonance_drift, status"
            raise TwinError(msg)

    # -- the bus side

    def hears(self, address: str) -> bool:
        """Tell whether a frame for `address` is for this module."""
        return address in (self._live.address, self._group)

    def communication_timeout(self) -> None:
        """Latch status 1 until the next reply."""
        self._error = COMM_TIMEOUT

    def answer(self, frame: Frame) -> tuple[list[str], Motion | None]:
        """Carry out one command; a latched error takes the place of the next reply and is cleared by it."""
        now_ps = self.clock.now_ps()
        self._settle(now_ps)
        if frame.address == self._group != self._live.address:
            self._group = None  # [INF] a group address holds for one command
        if self._motion is not None and frame.letters != "st":
            return [self._status(BUSY)], None
        if self._error != OK:
            return [self._take_error()], None
        handler = _COMMANDS.get(frame.letters)
        if handler is None:
            return [self._status(UNSUPPORTED)], None
        if not all(char in "0123456789ABCDEFabcdef" for char in frame.data):
            return [self._status(OUT_OF_RANGE)], None
        result = handler(self, replace(frame, data=frame.data.upper()), now_ps)
        if isinstance(result, Motion):
            return ([self._status(BUSY)] if self._parameters.interim_busy or result.interim else []), result
        return [result], None

    def finish(self, motion: Motion) -> str:
        """Give the reply that ends a motion: the position, or the error it met."""
        self._settle(self.clock.now_ps())
        if self._error != OK:
            return self._take_error()
        return motion.reply() if motion.reply is not None else self._position_reply()

    # -- commands; without entry, as `i3` (a third motor) or `c1` (current curve): status 3 [INF]

    @command("in")
    def _information(self, _: Frame, __: int) -> str:
        p = self._parameters
        return (
            f"{self._live.address}IN{TYPE_ELL14:02X}{p.serial}{p.year:04d}{p.firmware:02X}{p.hardware:02X}"
            f"{360:04X}{PULSES_PER_TURN:08X}"
        )

    @command("gs")
    def _get_status(self, _: Frame, __: int) -> str:
        return self._status(OK)

    @command("gp")
    def _get_position(self, _: Frame, __: int) -> str:
        return self._position_reply()

    @command("ma")
    def _move_absolute(self, frame: Frame, now_ps: int) -> str | Motion:
        target = _signed(frame.data)
        if abs(target) > LONGEST_ABSOLUTE_TURNS * PULSES_PER_TURN:
            return self._status(OUT_OF_RANGE)
        return self._move(target, now_ps)

    @command("mr")
    def _move_relative(self, frame: Frame, now_ps: int) -> str | Motion:
        step = _signed(frame.data)
        if abs(step) > LONGEST_ABSOLUTE_TURNS * PULSES_PER_TURN:
            return self._status(OUT_OF_RANGE)
        return self._move(self._counts + step, now_ps)

    @command("ho")
    def _home(self, frame: Frame, now_ps: int) -> str | Motion:
        if frame.data not in ("0", "1"):
            return self._status(OUT_OF_RANGE)
        home_deg = self._live.home_offset_counts * 360.0 / PULSES_PER_TURN
        here_deg = self._knob.value(now_ps)
        clockwise = frame.data == "0"
        way_deg = (home_deg - here_deg) % 360.0 if clockwise else -((here_deg - home_deg) % 360.0)
        # The counter starts anew at the mark: rewrite it now so that it reads zero when the move ends.
        end_deg = here_deg + way_deg
        self._counts = -round(way_deg * PULSES_PER_TURN / 360.0)
        self._zero_deg = end_deg
        return self._move(0, now_ps)

    @command("fw", "bw")
    def _jog(self, frame: Frame, now_ps: int) -> Motion:
        sign = 1 if frame.letters == "fw" else -1
        return self._move(self._counts + sign * self._live.jog_counts, now_ps)

    @command("st")
    def _stop(self, _: Frame, now_ps: int) -> str:
        self._halt(now_ps)
        return self._position_reply()

    @command("gj")
    def _get_jog(self, _: Frame, __: int) -> str:
        return f"{self._live.address}GJ{_hex32(self._live.jog_counts)}"

    @command("sj")
    def _set_jog(self, frame: Frame, _: int) -> str:
        return self._keep(jog_counts=_signed(frame.data), allowed=abs(_signed(frame.data)) <= PULSES_PER_TURN)

    @command("go")
    def _get_home_offset(self, _: Frame, __: int) -> str:
        return f"{self._live.address}HO{_hex32(self._live.home_offset_counts)}"

    @command("so")
    def _set_home_offset(self, frame: Frame, _: int) -> str:
        return self._keep(home_offset_counts=_signed(frame.data), allowed=abs(_signed(frame.data)) <= PULSES_PER_TURN)

    @command("gv")
    def _get_velocity(self, _: Frame, __: int) -> str:
        return f"{self._live.address}GV{self._live.velocity_percent:02X}"

    @command("sv")
    def _set_velocity(self, frame: Frame, _: int) -> str:
        return self._keep(velocity_percent=int(frame.data, 16), allowed=1 <= int(frame.data, 16) <= 100)

    @command("i1", "i2")
    def _motor_information(self, frame: Frame, _: int) -> str:
        motor = int(frame.letters[1]) - 1
        forward, backward = self._live.periods[2 * motor : 2 * motor + 2]
        current = round(MOTOR_CURRENT_A * CURRENT_PER_A)
        return f"{self._live.address}I{motor + 1}11{current:04X}FFFFFFFF{forward:04X}{backward:04X}"

    @command("f1", "b1", "f2", "b2")
    def _set_period(self, frame: Frame, _: int) -> str:
        index = ("f1", "b1", "f2", "b2").index(frame.letters)
        periods = list(self._live.periods)
        periods[index] = int(frame.data, 16) & PERIOD_BITS
        return self._keep(periods=tuple(periods), allowed=periods[index] > 0)

    @command("s1", "s2")
    def _search(self, _: Frame, now_ps: int) -> Motion:
        self._drive = 1.0
        end_ps = now_ps + round(SEARCH_S * PS)
        self._motion = Motion(now_ps, end_ps, self._counts, self._counts, interim=True, reply=lambda: self._status(OK))
        return self._motion

    @command("us")
    def _save(self, _: Frame, __: int) -> str:
        self._stored = self._live
        return self._status(OK)

    @command("ca")
    def _change_address(self, frame: Frame, _: int) -> str:
        self._live = replace(self._live, address=frame.data)
        return self._status(OK)

    @command("ga")
    def _group_address(self, frame: Frame, _: int) -> str:
        self._group = frame.data
        return f"{frame.data}GS{OK:02X}"

    # -- mechanics

    def _move(self, target: int, now_ps: int) -> Motion:
        p = self._parameters
        fails = self._stalled or self._drive < STALLS_BELOW
        speed = p.speed_deg_per_s * self._live.velocity_percent / 100 * min(1.0, self._drive)
        travel_s = STALL_TIMEOUT_S
        if not fails:
            end_deg = self._zero_deg + target * 360.0 / PULSES_PER_TURN
            here_deg = self._knob.value(now_ps)
            travel_s = p.settle_s + abs(end_deg - here_deg) / speed
        end_ps = now_ps + max(1, round(travel_s * PS))
        if not fails:
            rng = self._bench.rng(self._name, end_ps)
            end_deg += p.repeatability_deg * float(rng.standard_normal())
            target += int(rng.integers(-p.encoder_noise_pulses, p.encoder_noise_pulses + 1))
            self._knob.set(Ramp(now_ps, here_deg, end_ps, end_deg), now_ps)
        self._motion = Motion(now_ps, end_ps, self._counts, self._counts if fails else target, fails)
        return self._motion

    def _settle(self, now_ps: int) -> None:
        """Take over the end of a motion that lies in the past."""
        motion = self._motion
        if motion is None or now_ps < motion.end_ps:
            return
        self._counts, self._motion = motion.to_counts, None
        if motion.fails:
            self._error = MECHANICAL_TIMEOUT
        if WRAPS_AFTER_TURN and abs(self._counts) >= PULSES_PER_TURN + self._parameters.encoder_noise_pulses:
            turn = PULSES_PER_TURN if self._counts > 0 else -PULSES_PER_TURN
            self._counts -= turn
            self._zero_deg += turn * 360.0 / PULSES_PER_TURN

    def _halt(self, now_ps: int) -> None:
        self._settle(now_ps)
        if self._motion is None:
            return
        self._counts = self._position(now_ps)
        self._motion.cancelled = True
        if not self._motion.fails:
            self._knob.set(self._knob.value(now_ps), now_ps)
        self._motion = None

    def _position(self, now_ps: int) -> int:
        motion = self._motion
        if motion is None:
            return self._counts
        way = motion.to_counts - motion.from_counts
        return motion.from_counts + way * (now_ps - motion.start_ps) // (motion.end_ps - motion.start_ps)

    def _keep(self, *, allowed: bool, **changes: object) -> str:
        if not allowed:
            return self._status(OUT_OF_RANGE)
        self._live = replace(self._live, **changes)  # type: ignore[arg-type]
        return self._status(OK)

    def _status(self, code: int) -> str:
        return f"{self._live.address}GS{code:02X}"

    def _take_error(self) -> str:
        code, self._error = self._error, OK
        return self._status(code)

    def _position_reply(self) -> str:
        return f"{self._live.address}PO{_hex32(self._position(self.clock.now_ps()))}"
