"""Thorlabs PAX1000: polarimeter; reads the state of a laser's polarisation, and its power.

SCPI over USBTMC (the twin: over TCP).  A quarter-wave plate turns before a polariser.  It turns only for a measurement or
for `rotation`, and stands still after each plan.  Angles are those of the ellipse, as in `devices.polarisation.analyser`:
azimuth from horizontal, ellipticity positive for right-handed light.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from ophyd import Component as Cpt

from devices.base import InstrumentSettings, ScpiInstrument
from devices.polarisation.pax_scan import Scan, scans_of
from devices.signals import ScpiSignal, SoftSignal, parse_bool, parse_float, parse_int
from qlab.errors import BadReplyError, InstrumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devices.worker import WorkerStatus

__all__ = ["PAX1000"]

TURNS = (0.0, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
"""Of the plate for one measurement, by mode."""
SETTLING_TIMEOUT_S = 30.0
POLL_S = 0.1
SATURATED = 1 << 0
"""[INF] The position of the flag."""
PROBLEMS = {4: "it is too cold", 5: "it is too hot"}
"""Flags of a measurement."""


def _nm(text: str) -> float:
    return parse_float(text) * 1e9


class _Wavelength(ScpiSignal):
    """In nm; the instrument has metres."""

    def store(self, value: float) -> None:
        self.check_value(value)
        self.parent.tell(f"SENS:CORR:WAV {value * 1e-9:.9e}")
        self.wanted = value
        self.fetch()


class PAX1000(ScpiInstrument):
    """The polarimeter; role `qlab.roles.PowerMeter`."""

    identity = r"^(?i:thorlabs),PAX1000"
    twin = "sim_devices.polarisation.thorlabs_pax1000.PAX1000Twin"
    wire = "tcp"

    class Settings(InstrumentSettings):
        """What the lab file may set."""

        wavelength_nm: float | None = None
        mode: int | None = None
        rotation_hz: float | None = None
        averages: int = 1
        """How many measurements a trigger averages, as Stokes vectors."""

    azimuth_deg = Cpt(SoftSignal, units="deg", precision=3, kind="hinted")
    ellipticity_deg = Cpt(SoftSignal, units="deg", precision=3, kind="hinted")
    dop = Cpt(SoftSignal, precision=4, kind="hinted")
    power_w = Cpt(SoftSignal, units="W", kind="hinted")
    stokes = Cpt(SoftSignal, initial=np.zeros(3), kind="normal")
    misadjustment = Cpt(SoftSignal, kind="config")
    wavelength_nm = Cpt(
        _Wavelength,
        query="SENS:CORR:WAV?",
        command="SENS:CORR:WAV {}",
        parse=_nm,
        units="nm",
        ask_limits=True,
        kind="config",
    )
    mode = Cpt(
        ScpiSignal,
        query="SENS:CALC?",
        command="SENS:CALC {:d}",
        parse=parse_int,
        initial=5,
        limits=(1, 9),
        verify=0,
        kind="config",
    )
    rotation_hz = Cpt(
        ScpiSignal,
        query="INP:ROT:VEL?",
        command="INP:ROT:VEL {:.6g}",
        units="Hz",
        limits=(1.0, 200.0),
        verify=0.01,
        kind="config",
    )
    auto_range = Cpt(
        ScpiSignal,
        query="SENS:POW:RANG:AUTO?",
        command="SENS:POW:RANG:AUTO {:d}",
        parse=parse_bool,
        initial=1,
        limits=(0, 1),
        verify=0,
        kind="config",
    )
    rotation = Cpt(
        ScpiSignal,
        query="INP:ROT:STAT?",
        command="INP:ROT:STAT {:d}",
        parse=parse_bool,
        initial=0,
        limits=(0, 1),
        restore=False,
        verify=0,
        kind="omitted",
    )

    def prepare(self) -> None:
        """Forget old errors, and leave the mode of power-on, which does not measure."""
        super().prepare()
        if not parse_int(self.link.ask("SENS:CALC?", retry=False)):
            self.link.tell(f"SENS:CALC {int(self.settings.mode or 5)}")

    def measure(self) -> None:
        """Average measurements that began after the trigger; raises `InstrumentError` where the plate does not turn."""
        super().measure()
        self._spin()
        self._keep(self._fresh(self.settings.averages))

    def take_series(self, count: int) -> WorkerStatus:
        """Take measurements one after the other; `series` then has one row each: azimuth, ellipticity, DOP, power."""

        def work() -> None:
            self._spin()
            scans = self._fresh(count)
            degrees = [[math.degrees(s.azimuth_rad), math.degrees(s.ellipticity_rad), s.dop, s.power_w] for s in scans]
            self.series.remember(np.array(degrees))

        return self.in_thread("series", work)

    series = Cpt(SoftSignal, initial=np.empty((0, 4)), kind="omitted")

    def make_safe(self) -> None:
        """Stop the plate."""
        if self.link.is_open:
            self.rotation.store(0)

    def check_health(self) -> list[str]:
        """Return whether it is too cold or too hot, as the last measurement says."""
        flags = parse_int(self.ask("SENS:DATA:LAT?").split(",")[3])
        return [words for bit, words in PROBLEMS.items() if flags >> bit & 1]

    def _spin(self) -> None:
        """Let the plate turn, and wait until its speed has settled."""
        if not self.rotation.fetch():
            self.rotation.store(1)
        deadline_s = self.clock.now_s() + SETTLING_TIMEOUT_S
        while not parse_int(self.ask("INP:ROT:SETT?")):
            if self.clock.now_s() > deadline_s:
                what = f"the wave plate has not settled after {SETTLING_TIMEOUT_S:g} s"
                hint = "is it blocked? without its power supply it turns slowly"
                expected = f"1 at {self.rotation_hz.get():g} turns per second"
                raise InstrumentError(
                    what, device=self.name, command="INP:ROT:SETT?", found="0", expected=expected, hint=hint
                )
            self.wait_s(POLL_S)

    def _fresh(self, count: int) -> list[Scan]:
        """Empty the queue, leave out what began before, and read so many measurements."""
        while self._read():
            pass
        turns, speed = TURNS[self.mode.get()], self.rotation_hz.get()
        scans: list[Scan] = []
        deadline_s = self.clock.now_s() + 2.0 * (count + 1) * turns / speed + SETTLING_TIMEOUT_S
        while len(scans) < count + 1:
            if self.clock.now_s() > deadline_s:
                what, expected = "measurements do not come", f"{count + 1} at {speed / turns:g} per second"
                found = f"{len(scans)}"
                raise InstrumentError(
                    what, device=self.name, command="SENS:DATA:OLD:BIN?", found=found, expected=expected
                )
            more = self._read()
            scans += more
            if not more:
                self.wait_s(turns / speed)
        return scans[1 : count + 1]

    def _read(self) -> list[Scan]:
        """Read what waits, at most two measurements; the reply says its length and has no end."""
        command = "SENS:DATA:OLD:BIN?"
        with self.link.transaction() as link:
            link.tell(command)
            data = link.read_exact(int.from_bytes(link.read_exact(2), "little"))
        try:
            return scans_of(data)
        except ValueError as error:
            self.link.distrust()
            what = "the reply is not made of measurements"
            raise BadReplyError(what, device=self.name, command=command, found=data[:16]) from error

    def _keep(self, scans: Sequence[Scan]) -> None:
        """Average Stokes vectors: angles would be wrong where the azimuth wraps around."""
        s1, s2, s3 = np.mean([scan.stokes for scan in scans], axis=0)
        dop = math.hypot(s1, s2, s3)
        self.stokes.remember(np.array([s1, s2, s3]))
        self.azimuth_deg.remember(math.degrees(0.5 * math.atan2(s2, s1)))
        self.ellipticity_deg.remember(math.degrees(0.5 * math.asin(s3 / dop)) if dop else 0.0)
        self.dop.remember(dop)
        self.power_w.remember(float(np.mean([scan.power_w for scan in scans])))
        self.misadjustment.remember(scans[-1].misadjustment)
        if scans[-1].flags & SATURATED:
            what, hint = "the light is above the polarimeter's range", "attenuate it, or switch auto_range on"
            raise InstrumentError(what, device=self.name, found=f"flags {scans[-1].flags:#x}", hint=hint)
