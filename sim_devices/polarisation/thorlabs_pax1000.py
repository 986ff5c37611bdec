"""Twin of the Thorlabs PAX1000 polarimeter.  Written from protocol sheet 23 and from what Thorlabs' examples send.

A quarter-wave plate turns before a polariser; the Fourier components of the photo current give the Stokes vector.  Each
measurement takes half a turn, one or two; what is not read waits in a queue.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from qlab.clock import PS_PER_S
from qlab.errors import TwinError
from qlab.twin.scpi import ScpiTwin, boolean, choice, command, parameter, query
from qlab.twin.scpi_values import parse_limited
from sim_devices.polarisation.pax_record import Errors, Record, detector_extremes, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qlab.twin.bench import Bench

__all__ = ["PAX1000Twin"]

TURNS = {0: 0.0, 1: 0.5, 2: 0.5, 3: 0.5, 4: 1.0, 5: 1.0, 6: 1.0, 7: 2.0, 8: 2.0, 9: 2.0}  # [V2] by mode; 0 is idle
POINTS = (0, 512, 1024, 2048, 512, 1024, 2048, 512, 1024, 2048)  # [V2] of the Fourier transform
FASTEST_HZ = (200.0, 200.0, 150.0, 75.0, 200.0, 200.0, 150.0, 200.0, 200.0, 200.0)  # [V1] Thorlabs' example
ON_USB_HZ, SLOWEST_HZ = 50.0, 10.0  # [INF] turns per second without a power supply, and at least
SPIN_UP_S, RESETTLE_S = 5.0, 1.0  # [INF] an example of Thorlabs' waits for 8 s
QUEUE = 64  # [INF] measurements that wait to be read; the oldest is lost
AT_ONCE = 2  # [V1] measurements in one binary reply
SATURATED, TOO_COLD, TOO_HOT = 1 << 0, 1 << 4, 1 << 5  # [V1] 4 and 5; [INF] 0
RANGES = 17  # [INF]
TOP_W, STEP_DB = 10e-3, 70.0 / 16  # [V1] 10 dBm and a dynamic range of 70 dB; [INF] in equal steps
FULL_ADC = 32767  # [INF]
SAMPLES = 4  # of the light within one measurement
QUES_TEMPERATURE = 1 << 4  # [INF] as the PM100D's


class Parameters(BaseModel):
    """The `twin:` section: model and errors.  Accuracy and range are those of the data sheet."""

    model_config = ConfigDict(extra="forbid")

    model: Literal["PAX1000VIS", "PAX1000IR1", "PAX1000IR2"] = "PAX1000IR2"
    serial: str = "M00937524"
    firmware: str = "1.2.1"
    external_supply: bool = True
    accuracy_deg: float = Field(0.25, ge=0, description="on the Poincare sphere")
    dop_accuracy: float = Field(5e-3, ge=0, description="[INF] data sheets say 1 %")
    noise: float = Field(2e-4, ge=0, description="[INF] of a normalised Stokes parameter")
    noise_w: float = Field(1e-10, ge=0, description="[INF]")
    misadjustment: float = Field(1.0, ge=0, description="[INF]")


WAVELENGTHS_M = {"PAX1000VIS": (4e-7, 7e-7), "PAX1000IR1": (6e-7, 1.08e-6), "PAX1000IR2": (9e-7, 1.7e-6)}  # [V1]


class PAX1000Twin(ScpiTwin):
    """The polarimeter."""

    wire: ClassVar[Literal["tcp", "serial", "zmq"]] = "tcp"
    status_groups = ("OPERation", "QUEStionable", "AUXiliary")

    mode = parameter("SENSe:CALCulate[:MODe]", 0, limits=(0, 9), changed="_mode_changed")
    rotation_hz = parameter("INPut:ROTation:VELocity", 60.0, changed="_respin")
    range_index = parameter("SENSe:POWer:RANGe:INDex", 0, limits=(0, RANGES - 1), changed="_range_set")
    wavelength_m = parameter("SENSe:CORRection:WAVelength", 0.0, units="M")

    def __init__(self, name: str, bench: Bench, parameters: Parameters) -> None:
        super().__init__(bench.clock)
        self._name = name
        self._bench = bench
        self._parameters = parameters
        self._errors = _errors_of(bench.rng(name, 0), parameters)
        self._faults: set[str] = set()
        self._queue: deque[Record] = deque(maxlen=QUEUE)
        self._latest: Record | None = None
        self._turns = False
        self._settled_ps = self._counted_ps = 0
        self._half_turns = 0.0
        self._raw = False
        self.auto_range = True
        self.on_reset()

    @classmethod
    def build(cls, name: str, bench: Bench, parameters: Mapping[str, object]) -> PAX1000Twin:
        """Build the twin from the lab file's `twin:` section."""
        return cls(name, bench, Parameters.model_validate(dict(parameters)))

    def identify(self) -> str:
        """Answer `*IDN?`."""
        return f"THORLABS,{self._parameters.model},{self._parameters.serial},{self._parameters.firmware}"

    def on_reset(self) -> None:
        """Stop the plate and forget what was measured."""
        low, high = WAVELENGTHS_M[self._parameters.model]
        self.wavelength_m = 1.55e-6 if high > 1.55e-6 else (low + high) / 2.0
        self._turns, self.auto_range = False, True
        self._queue.clear()
        self._latest = None
        self._half_turns = 0.0
        self._respin()

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return limits of the model and of the mode."""
        supply = FASTEST_HZ[0] if self._parameters.external_supply else ON_USB_HZ
        fastest = min(FASTEST_HZ[int(self.mode)], supply)
        return {"rotation_hz": (SLOWEST_HZ, fastest), "wavelength_m": WAVELENGTHS_M[self._parameters.model]}.get(name)

    def device_fault(self, name: str, *, active: bool = True) -> None:
        """Block the plate, or overheat; or end it."""
        if name not in ("motor_stuck", "over_temperature"):
            msg = f"{self._name}: unknown device fault {name!r}; expected motor_stuck or over_temperature"
            raise TwinError(msg)
        self._measure()
        self._faults = self._faults | {name} if active else self._faults - {name}
        self._respin()

    def refresh_status(self) -> None:
        """Say whether it is too hot."""
        self.status["QUEStionable"].set_bits(QUES_TEMPERATURE, on="over_temperature" in self._faults)

    def peek(self) -> dict[str, object]:
        """Return settings and whether the plate turns."""
        return {**super().peek(), "auto_range": self.auto_range, "turns": self._turns, "settled": self._settled()}

    @command("INPut:ROTation:STATe", boolean)
    def _rotate(self, on: bool) -> None:
        if on != self._turns:
            self._measure()
            self._turns = on
            self._respin(SPIN_UP_S)

    @query("INPut:ROTation:STATe?")
    def _rotates(self) -> bool:
        return self._turns

    @query("INPut:ROTation:SETTled?")
    def _settled(self) -> bool:
        return self._turns and "motor_stuck" not in self._faults and self.clock.now_ps() >= self._settled_ps

    @query("INPut:ROTation:VELocity:LIMits?")
    def _limits(self) -> str:
        return f"{FASTEST_HZ[0]:.6E},{ON_USB_HZ:.6E}"

    @query("SENSe:DATA:LATest?")
    def _latest_text(self) -> str:
        self._measure()
        empty = Record(0, 0, int(self.mode), 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        return (self._latest or empty).text()

    @query("SENSe:DATA:OLDest?")
    def _oldest_text(self) -> str:
        self._measure()
        return self._queue.popleft().text() if self._queue else "0"

    @query("SENSe:DATA:OLDest:BINary?")
    def _oldest(self) -> str:
        """Return the length in two bytes and up to two records; no terminator follows."""
        self._measure()
        data = b"".join(self._queue.popleft().packed() for _ in range(min(AT_ONCE, len(self._queue))))
        self._raw = True
        return (len(data).to_bytes(2, "little") + data).decode("latin-1")

    @query("SENSe:POWer:RANGe:NOMinal?", "SENSe:POWer:RANGe[:UPPer]?")
    def _nominal(self) -> float:
        return _top_w(int(self.range_index))

    @command("SENSe:POWer:RANGe[:UPPer]")
    def _set_upper(self, watts: str) -> None:
        wanted = parse_limited(watts, _top_w(RANGES - 1), TOP_W, TOP_W, "W")
        self.range_index = max(i for i in range(RANGES) if _top_w(i) >= min(wanted, TOP_W) * (1 - 1e-9))
        self.auto_range = False

    @command("SENSe:POWer:RANGe:AUTO", choice("OFF", "0", "ON", "1", "ONCE", "2"))
    def _set_auto(self, how: str) -> None:
        self._measure()
        self.auto_range = how in ("ON", "1")

    @query("SENSe:POWer:RANGe:AUTO?")
    def _auto(self) -> bool:
        return self.auto_range

    @query("CALibration:STRing?")
    def _calibration(self) -> str:
        return '"12-MAR-2024"'

    @property
    def _reply_end(self) -> bytes:
        raw, self._raw = self._raw, False
        return b"" if raw else self.terminator

    def _mode_changed(self) -> None:
        """Begin anew; a plate that is too fast for the mode becomes slower."""
        low, high = self.limits_of("rotation_hz") or (SLOWEST_HZ, ON_USB_HZ)
        self.rotation_hz = min(max(float(self.rotation_hz), low), high)
        self._respin(0.0)

    def _range_set(self) -> None:
        self.auto_range = False

    def _respin(self, seconds: float = RESETTLE_S) -> None:
        """Begin to count anew when the plate has settled."""
        now = self.clock.now_ps()
        pending = max(self._settled_ps - now, 0)
        self._settled_ps = now + max(round(seconds * PS_PER_S), pending if seconds < SPIN_UP_S else 0)
        self._counted_ps = self._settled_ps
        self.begin_operation((self._settled_ps - now) / PS_PER_S if self._turns else 0.0)

    def _measure(self) -> None:
        """Take all measurements that have ended since the last look; only the last `QUEUE` are worked out."""
        mode, now = int(self.mode), self.clock.now_ps()
        if not mode or not self._settled() or now <= self._counted_ps:
            return
        period_ps = round(TURNS[mode] / float(self.rotation_hz) * PS_PER_S)
        ended = (now - self._counted_ps) // period_ps
        skipped = max(ended - QUEUE, 0)
        self._half_turns += skipped * 2 * TURNS[mode]
        self._counted_ps += skipped * period_ps
        for _ in range(ended - skipped):
            self._half_turns += 2 * TURNS[mode]
            self._latest = self._evaluate(self._counted_ps, self._counted_ps + period_ps)
            self._queue.append(self._latest)
            self._counted_ps += period_ps

    def _evaluate(self, begin_ps: int, end_ps: int) -> Record:
        mode, step = int(self.mode), (end_ps - begin_ps) // SAMPLES
        middles = (begin_ps + step // 2 + k * step for k in range(SAMPLES))
        light = np.mean([self._bench.stokes_w(self._name, t) for t in middles], axis=0)
        least, most = detector_extremes(light)
        if self.auto_range:
            self.range_index = max(i for i in range(RANGES) if i == 0 or _top_w(i) >= most * 1.1)
        top = _top_w(int(self.range_index))
        flags = SATURATED if most > top else 0
        flags |= TOO_HOT if "over_temperature" in self._faults else 0
        seen = light * min(1.0, top / most) if most > 0 else light
        rng = self._bench.rng(self._name, 1, end_ps)
        found = evaluate(seen, self._errors, POINTS[mode] * TURNS[mode], rng)
        low, high = (min(round(value / top * FULL_ADC), FULL_ADC) for value in (least, most))
        turn_s, misadjustment = 1.0 / float(self.rotation_hz), self._parameters.misadjustment
        stamp = round(end_ps / (PS_PER_S // 1000))  # [INF] milliseconds
        head = (round(self._half_turns), stamp, mode, flags, int(self.range_index))
        return Record(*head, low, high, turn_s, misadjustment, *found)


def _top_w(index: int) -> float:
    return TOP_W * math.pow(10.0, -STEP_DB * index / 10.0)


def _errors_of(rng: np.random.Generator, p: Parameters) -> Errors:
    """Draw this instrument's calibration error: a turn of the sphere by at most the accuracy."""
    axis = rng.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = math.radians(p.accuracy_deg) * float(rng.uniform(-1.0, 1.0))
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)
    return Errors(rotation, p.dop_accuracy * float(rng.uniform(-1.0, 1.0)), p.noise, p.noise_w)
