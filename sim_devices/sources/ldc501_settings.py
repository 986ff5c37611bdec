"""The LDC501's settings for the laser, and what they let through.  Written from protocol sheet 02."""

from __future__ import annotations

from qlab.twin.scpi import ScpiError, parameter
from sim_devices.sources.ldc501_readings import LaserReadings
from sim_devices.sources.ldc501_tokens import Token

__all__ = ["I_LIMIT", "P_LIMIT", "RANGES_MA", "V_LIMIT", "LaserSettings"]

RANGES_MA = {
    "LDC500": {"HIGH": 100.0, "LOW": 50.0},
    "LDC501": {"HIGH": 500.0, "LOW": 250.0},
    "LDC502": {"HIGH": 2000.0, "LOW": 1000.0},
}
"""[V2] By model."""
LIGHT_TOO_STRONG = 1  # [INF] LEXE? of a change to constant power above the photodiode's limit
I_LIMIT, P_LIMIT, V_LIMIT = 1 << 5, 1 << 6, 1 << 7
"""[INF] Bits of `LDCR?`, read off a figure."""
WARNING_V = 0.25
"""[V2] So near to the compliance limit a warning shows."""
HALVINGS = 60


class LaserSettings(LaserReadings):
    """Current, limits, photodiode, trips and masks."""

    mode = Token("SMOD", ("CC", "CP"), "_mode_changed")
    set_ma = parameter("SILD", 0.0, fmt=".3f", changed="_light_changed")
    limit_ma = parameter("SILM", 250.0, fmt=".3f", changed="_limit_changed")
    limit_v = parameter("SVLM", 10.0, limits=(0.1, 10.0), fmt=".3f", changed="_light_changed")
    modulation = Token("MODU")
    bandwidth = Token("SIBW", ("LOW", "HIGH"))
    light_unit = Token("PDMW")
    bias_v = parameter("BIAS", 0.0, limits=(0.0, 5.0), fmt=".3f")
    responsivity = parameter("RESP", 5.0, limits=(0.0, 5000.0), fmt=".3f")
    set_ua = parameter("SIPD", 0.0, limits=(0.0, 5000.0), fmt=".3f", changed="_light_changed")
    limit_ua = parameter("PILM", 5000.0, limits=(0.0, 5000.0), fmt=".3f")
    set_mw = parameter("SWPD", 0.0, limits=(0.0, 5000.0), fmt=".3f", changed="_light_changed")
    limit_mw = parameter("PWLM", 5000.0, limits=(0.0, 5000.0), fmt=".3f")
    trigger_ms = parameter("SYND", 5, limits=(5, 1000))
    trip_current = Token("AILM")
    trip_power_cp = Token("APLP")
    trip_power_cc = Token("APLC")
    trip_tec = Token("ATOF", at=1)
    positive = parameter("LDPT", 0x7FFF, limits=(0, 0xFFFF))
    negative = parameter("LDNT", 0, limits=(0, 0xFFFF))
    enabled = parameter("LDEN", 0, limits=(0, 0xFFFF))
    tec_positive = parameter("TEPT", 0x7FFF, limits=(0, 0xFFFF))
    tec_negative = parameter("TENT", 0, limits=(0, 0xFFFF))
    tec_enabled = parameter("TEEN", 0, limits=(0, 0xFFFF))

    @property
    def in_mw(self) -> bool:
        """Whether light is set in mW, not as the photodiode's current."""
        return self.light_unit == "ON"

    def limits_reached(self) -> int:
        """Return which limits the laser is at."""
        bits = I_LIMIT if self._actual_ma() >= self.limit_ma else 0
        bits |= P_LIMIT if self._wanted_ua() >= self._most_ua() else 0
        return bits | (V_LIMIT if self._voltage() > self.limit_v - WARNING_V else 0)

    def _most_ua(self) -> float:
        """Return the limit of light, as the photodiode's current."""
        return float(self.limit_mw) * float(self.responsivity) if self.in_mw else float(self.limit_ua)

    def _wanted_ua(self) -> float:
        """Return the photodiode's current that is asked for, or that there is."""
        if self.mode == "CC":
            return self._diode.power_w(float(self.set_ma) * 1e-3, self.actual_c()) * 1e3 * self._monitor_ua_per_mw()
        return float(self.set_mw) * float(self.responsivity) if self.in_mw else float(self.set_ua)

    def _monitor_ua_per_mw(self) -> float:
        return self._parameters.responsivity_ua_per_mw

    def _actual_ma(self) -> float:
        return self._current_a(self._wanted(), self.actual_c()) * 1e3 if self._on else 0.0

    def _wanted(self) -> float:
        """Return what is regulated to: A with constant current, W of light with constant power."""
        return float(self.set_ma) * 1e-3 if self.mode == "CC" else self._asked_w()

    def _asked_w(self) -> float:
        """Return the light that constant power regulates to."""
        asked = float(self.set_mw) * float(self.responsivity) if self.in_mw else float(self.set_ua)
        return min(asked, self._most_ua()) / self._monitor_ua_per_mw() * 1e-3

    def _current_a(self, wanted: float, celsius: float) -> float:
        """Return the current in A with which the diode does what is wanted, at most its limit."""
        if self.mode == "CC":
            return wanted
        return self._current_for(wanted, celsius, float(self.limit_ma) * 1e-3)

    def _current_for(self, watts: float, celsius: float, most_a: float) -> float:
        """Return the current at which the diode is as bright as it should be."""
        low, high = 0.0, most_a
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            bright = self._diode.power_w(middle, celsius) >= watts
            low, high = (low, middle) if bright else (middle, high)
        return high

    def _mode_changed(self) -> None:
        """Take the other set point from what is measured, so that the light does not jump [V2]."""
        if self._on and self.mode == "CC":
            self.set_ma = self._current_for(self._asked_w(), self.actual_c(), float(self.limit_ma) * 1e-3) * 1e3
        elif self._on:
            shown = self._photocurrent()
            if shown > self._most_ua():
                self.mode = "CC"
                raise ScpiError(LIGHT_TOO_STRONG, "too much light")
            self.set_ua, self.set_mw = shown, self._photodiode_power()
        self._light_changed()

    def _limit_changed(self) -> None:
        """Drag the set current down with its limit."""
        if self.set_ma > self.limit_ma:
            self.set_ma = self.limit_ma
            self._light_changed()

    def _light_changed(self) -> None:
        """Follow a setting."""
        raise NotImplementedError
