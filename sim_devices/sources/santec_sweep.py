"""The TSL-570's sweeps, fine tuning and trigger settings, as public drivers use them [V1]; light follows the wavelength."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import ScpiError, ScpiTwin, command, integer, number, parameter, query
from sim_devices.sources.santec_legs import Legs, Sweep, leg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlab.physics.knob import Knob, Ramp

__all__ = ["LIGHT_NM_THZ", "SweepTwin"]

LIGHT_NM_THZ = 299_792.458
SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
"""[V1] nm/s"""
FINE_NM = 0.01
"""[INF] What fine tuning by 100 does."""
STEPPED_ONCE, ONCE, STEPPED_BACK, THERE_AND_BACK = range(4)
"""[V1] Modes of a sweep."""
STOPPED, RUNNING = 0, 1


class SweepTwin(ScpiTwin):
    """The part of the laser that tunes."""

    sweep_mode = parameter("WAVelength:SWEep:MODe", ONCE, limits=(0, 3))
    sweep_speed = parameter("WAVelength:SWEep:SPEed", 100.0, fmt=".1f", limits=(1.0, 200.0), changed="_check_speed")
    sweep_step_nm = parameter("WAVelength:SWEep:STEP", 1.0, fmt=".4f", limits=(0.0001, 100.0))
    sweep_cycles = parameter("WAVelength:SWEep:CYCLes", 1, limits=(0, 999))
    sweep_dwell_s = parameter("WAVelength:SWEep:DWELl", 0.0, fmt=".1f", limits=(0.0, 999.9))
    sweep_delay_s = parameter("WAVelength:SWEep:DELay", 0.0, fmt=".1f", limits=(0.0, 999.9))
    sweep_start_nm = parameter("WAVelength:SWEep:STARt", 1500.0, fmt=".4f", units="NM")
    sweep_stop_nm = parameter("WAVelength:SWEep:STOP", 1630.0, fmt=".4f", units="NM")
    wavelength_unit = parameter("WAVelength:UNIT", 0, limits=(0, 1))
    coherence_control = parameter("COHCtrl", False)
    trigger_output = parameter("TRIGger:OUTPut", 0, limits=(0, 3))
    trigger_setting = parameter("TRIGger:OUTPut:SETTing", 0, limits=(0, 1))
    trigger_step_nm = parameter("TRIGger:OUTPut:STEP", 0.1, fmt=".4f", limits=(0.0001, 130.0))
    trigger_input = parameter("TRIGger:INPut:EXTernal", False)

    wavelength_nm: float
    shortest_nm: float
    longest_nm: float
    tuning_nm_per_s: float
    wavelength_knob: Knob
    fine = 0.0
    _sweep_end_ps = 0

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return what the laser reaches."""
        reaches = (self.shortest_nm, self.longest_nm)
        return reaches if name in ("wavelength_nm", "sweep_start_nm", "sweep_stop_nm") else None

    def tune(self) -> None:
        """Go to the wavelength that is set, at the speed of tuning; a sweep ends."""
        now = self.clock.now_ps()
        way = leg(now, self.wavelength_knob.value(now), self._wanted_nm(), self.tuning_nm_per_s)
        self._sweep_end_ps = now
        self.wavelength_knob.set(way, now)
        self.begin_operation((way.t1_ps - now) / PS_PER_S)

    def _wanted_nm(self) -> float:
        return float(self.wavelength_nm) + self.fine / 100.0 * FINE_NM

    @command("WAVelength:SWEep[:STATe]", integer(0, 1))
    def _sweep(self, on: int) -> None:
        if not on:
            self._stop()
            return
        if self.sweep_start_nm >= self.sweep_stop_nm:
            raise ScpiError(-221)
        now = self.clock.now_ps()
        legs = self._legs(now)
        self._sweep_end_ps = legs[-1].t1_ps
        self.wavelength_knob.set(Legs(tuple(legs)), now)
        self.wavelength_nm = legs[-1].v1
        self.begin_operation((self._sweep_end_ps - now) / PS_PER_S)

    def _legs(self, now_ps: int) -> Sequence[Ramp]:
        """Return the way to the start, and each cycle."""
        sweep = Sweep(
            start_nm=float(self.sweep_start_nm),
            stop_nm=float(self.sweep_stop_nm),
            tuning_nm_per_s=self.tuning_nm_per_s,
            speed_nm_per_s=float(self.sweep_speed) if self.sweep_mode in (ONCE, THERE_AND_BACK) else None,
            step_nm=float(self.sweep_step_nm),
            dwell_s=float(self.sweep_dwell_s),
            delay_s=float(self.sweep_delay_s),
            back=self.sweep_mode in (STEPPED_BACK, THERE_AND_BACK),
        )
        return sweep.legs(now_ps, self.wavelength_knob.value(now_ps), max(int(self.sweep_cycles), 1))

    def _stop(self) -> None:
        now = self.clock.now_ps()
        if now < self._sweep_end_ps:
            self.wavelength_nm = self.wavelength_knob.value(now)
            self.wavelength_knob.set(self.wavelength_nm, now)
            self._sweep_end_ps = now
            self.end_operations()

    @command("WAVelength:SWEep:STATe:REPeat", "TRIGger:INPut:SOFTtrigger")
    def _again(self) -> None:
        self._sweep(1)

    @query("WAVelength:SWEep[:STATe]?")
    def _sweep_state(self) -> int:
        return RUNNING if self.clock.now_ps() < self._sweep_end_ps else STOPPED

    @command("WAVelength:FINe", number(-100.0, 100.0))
    def _set_fine(self, value: float) -> None:
        self.fine = value
        self.tune()

    @query("WAVelength:FINe?")
    def _fine_query(self) -> str:
        return f"{self.fine:.2f}"

    @command("WAVelength:FINe:DISable")
    def _no_fine(self) -> None:
        self._set_fine(0.0)

    @command("WAVelength:FREQuency:SWEep:STARt", number(1.0, 1e4))
    def _set_sweep_start(self, terahertz: float) -> None:
        self.sweep_start_nm = self._reachable(terahertz)

    @query("WAVelength:FREQuency:SWEep:STARt?")
    def _sweep_start(self) -> str:
        return f"{LIGHT_NM_THZ / float(self.sweep_start_nm):.5f}"

    @command("WAVelength:FREQuency:SWEep:STOP", number(1.0, 1e4))
    def _set_sweep_stop(self, terahertz: float) -> None:
        self.sweep_stop_nm = self._reachable(terahertz)

    @query("WAVelength:FREQuency:SWEep:STOP?")
    def _sweep_stop(self) -> str:
        return f"{LIGHT_NM_THZ / float(self.sweep_stop_nm):.5f}"

    @query("READout:POINts?")
    def _points(self) -> int:
        """Say that no wavelengths were logged [INF]."""
        return 0

    def _reachable(self, terahertz: float) -> float:
        nm = LIGHT_NM_THZ / terahertz
        if not self.shortest_nm <= nm <= self.longest_nm:
            raise ScpiError(-222)
        return nm

    def _check_speed(self) -> None:
        """Take the next lower speed that it has."""
        self.sweep_speed = max(speed for speed in SPEEDS if speed <= float(self.sweep_speed))
