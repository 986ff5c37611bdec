"""Amplitude, offset and load of a generator's outputs: 50 Ohm inside, so that what is seen depends on the load."""

from __future__ import annotations

import math
import re

from qlab.twin.scpi import ScpiError, ScpiTwin, command, query
from qlab.twin.scpi_values import parse_number
from sim_devices.sources.awg_channels import FORMAT, clipped, per_channel, written

__all__ = ["Levels"]

INSIDE_OHM = 50.0
PEAK_V = 5.0  # into 50 Ohm; twice as much into an open end
SMALLEST_VPP = 1e-3  # into 50 Ohm
AMPLITUDE = "[SOURce#:]VOLTage[:LEVel][:IMMediate][:AMPLitude]"
CONFLICT = "Settings conflict; "


class Levels(ScpiTwin):
    """The `VOLTage` and `OUTPut` commands; volts are kept as they are without a load."""

    channels = 2
    amplitude_unit = per_channel("[SOURce#:]VOLTage:UNIT", "VPP", choices=("VPP", "VRMS", "DBM"))
    auto_range = per_channel("[SOURce#:]VOLTage:RANGe:AUTO", True)
    coupled = per_channel("[SOURce#:]VOLTage:COUPle[:STATe]", False)
    limit_high_v = per_channel("[SOURce#:]VOLTage:LIMit:HIGH", 5.0, limits=(-10.0, 10.0), units="V")
    limit_low_v = per_channel("[SOURce#:]VOLTage:LIMit:LOW", -5.0, limits=(-10.0, 10.0), units="V")
    limited = per_channel("[SOURce#:]VOLTage:LIMit:STATe", False)
    polarity = per_channel("OUTPut#:POLarity", "NORM", choices=("NORMal", "INVerted"))
    output_mode = per_channel("OUTPut#:MODE", "NORM", choices=("NORMal", "GATed"))
    output_on = per_channel("OUTPut#[:STATe]", False)

    def reset_levels(self) -> None:
        """Return to 100 mVpp into 50 Ohm."""
        self._open_vpp = dict.fromkeys(range(1, self.channels + 1), 0.2)
        self._open_offset = dict.fromkeys(range(1, self.channels + 1), 0.0)
        self._load_ohm = dict.fromkeys(range(1, self.channels + 1), INSIDE_OHM)

    def largest_vpp(self, channel: int) -> float:
        """Return the largest amplitude into 50 Ohm at the function and frequency of a channel."""
        raise NotImplementedError

    def rms_per_vpp(self, channel: int) -> float:
        """Return the effective value of 1 Vpp of the channel's function."""
        raise NotImplementedError

    def follow(self, channel: int, name: str) -> None:
        """Follow a setting of a channel that was changed."""
        raise NotImplementedError

    def drive(self, channel: int) -> None:
        """Let the world know what an output does."""
        raise NotImplementedError

    def vpp(self, channel: int) -> float:
        """Return the amplitude on the load."""
        return self._open_vpp[channel] * self.division(channel)

    def offset_v(self, channel: int) -> float:
        """Return the offset on the load."""
        return self._open_offset[channel] * self.division(channel)

    def division(self, channel: int) -> float:
        """Return how much of the voltage is left on the load: 1 for none."""
        load = self._load_ohm[self._check(channel)]
        return 1.0 if math.isinf(load) else load / (load + INSIDE_OHM)

    def fit_amplitude(self, channel: int, why: str) -> None:
        """Reduce an amplitude that the instrument cannot do any more, and say so."""
        top = 2.0 * self.largest_vpp(channel)
        if self._open_vpp[channel] > top:
            self._open_vpp[channel] = top
            self.fail(ScpiError(-221, CONFLICT + why))

    def _check(self, channel: int) -> int:
        if not 1 <= channel <= self.channels:
            raise ScpiError(-114)
        return channel

    def _range(self, channel: int) -> tuple[float, float]:
        """Return the least and the highest voltage that the channel may put on its load."""
        peak = 2.0 * PEAK_V * self.division(channel)
        if self.limited[channel]:
            return max(self.limit_low_v[channel], -peak), min(self.limit_high_v[channel], peak)
        return -peak, peak

    def _vpp_range(self, channel: int) -> tuple[float, float]:
        scale = 2.0 * self.division(channel)
        return SMALLEST_VPP * scale, self.largest_vpp(channel) * scale

    def _in_unit(self, channel: int, vpp: float, unit: str) -> float:
        if unit == "VPP":
            return vpp
        rms = vpp * self.rms_per_vpp(channel)
        return rms if unit == "VRMS" else 10.0 * math.log10(max(rms**2 / self._load_ohm[channel] * 1e3, 1e-30))

    def _to_vpp(self, channel: int, text: str) -> float:
        """Read an amplitude, in the unit that stands behind it or is set."""
        low, high = self._vpp_range(channel)
        known = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high, "DEF": 0.2 * self.division(channel)}
        if text.strip().upper() in known:
            return known[text.strip().upper()]
        found = re.fullmatch(r"(.*?)(VPP|VRMS|DBM)\s*", text.strip(), re.IGNORECASE)
        unit = found[2].upper() if found else self.amplitude_unit[channel]
        value = parse_number(found[1] if found else text, "" if found else "V")
        if unit == "VPP":
            return value
        if unit == "DBM":
            self._need_load(channel)
            value = math.sqrt(math.pow(10.0, min(value, 100.0) / 10.0) * 1e-3 * self._load_ohm[channel])
        return value / self.rms_per_vpp(channel)

    def _need_load(self, channel: int) -> None:
        if math.isinf(self._load_ohm[channel]):
            raise ScpiError(-221, CONFLICT + "not able to use dBm with an open load")

    @command(AMPLITUDE)
    def set_amplitude(self, channel: int, text: str) -> None:
        """Set the amplitude; what the offset leaves no room for is not given."""
        vpp = self._to_vpp(self._check(channel), text)
        low, high = self._vpp_range(channel)
        bottom, top = self._range(channel)
        room = 2.0 * min(top - self.offset_v(channel), self.offset_v(channel) - bottom)
        kept = min(max(vpp, low), high)
        self._open_vpp[channel] = max(min(kept, room), low) / self.division(channel)
        self.drive(channel)
        if not low <= vpp <= high * (1 + 1e-12):
            raise clipped(vpp, low, high)
        if vpp > room * (1 + 1e-12):
            raise ScpiError(-221, CONFLICT + "amplitude changed due to offset")

    @query(AMPLITUDE + "?")
    def _amplitude(self, channel: int, which: str = "") -> str:
        vpp = self._to_vpp(self._check(channel), which) if which else self.vpp(channel)
        return f"{self._in_unit(channel, vpp, self.amplitude_unit[channel]):{FORMAT}}"

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:OFFSet")
    def set_offset(self, channel: int, text: str) -> None:
        """Set the offset; what the amplitude leaves no room for is not given."""
        bottom, top = self._range(self._check(channel))
        volts = {"MIN": bottom, "MAX": top, "DEF": 0.0}.get(text.strip().upper()[:3])
        volts = parse_number(text, "V") if volts is None else volts
        half = 0.0 if self.is_dc(channel) else self.vpp(channel) / 2.0
        self._open_offset[channel] = min(max(volts, bottom + half), top - half) / self.division(channel)
        self.drive(channel)
        if not bottom <= volts <= top:
            raise clipped(volts, bottom, top)
        if abs(self.offset_v(channel) - volts) > 1e-9:
            raise ScpiError(-221, CONFLICT + "offset changed due to amplitude")

    def is_dc(self, channel: int) -> bool:
        """Tell whether the channel gives a direct voltage."""
        raise NotImplementedError

    @query("[SOURce#:]VOLTage[:LEVel][:IMMediate]:OFFSet?")
    def _offset(self, channel: int, which: str = "") -> str:
        low, high = self._range(self._check(channel))
        volts = {"": self.offset_v(channel), "MIN": low, "MAX": high}.get(which.strip().upper()[:3])
        if volts is None:
            raise ScpiError(-224)
        return f"{volts:{FORMAT}}"

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:HIGH")
    def _set_high(self, channel: int, text: str) -> None:
        self._set_levels(channel, self._low_v(channel), parse_number(text, "V"))

    @command("[SOURce#:]VOLTage[:LEVel][:IMMediate]:LOW")
    def _set_low(self, channel: int, text: str) -> None:
        self._set_levels(channel, parse_number(text, "V"), self._high_v(channel))

    @query("[SOURce#:]VOLTage[:LEVel][:IMMediate]:HIGH?")
    def _high(self, channel: int) -> str:
        return f"{self._high_v(channel):{FORMAT}}"

    @query("[SOURce#:]VOLTage[:LEVel][:IMMediate]:LOW?")
    def _low(self, channel: int) -> str:
        return f"{self._low_v(channel):{FORMAT}}"

    def _high_v(self, channel: int) -> float:
        return self.offset_v(self._check(channel)) + self.vpp(channel) / 2.0

    def _low_v(self, channel: int) -> float:
        return self.offset_v(self._check(channel)) - self.vpp(channel) / 2.0

    def _set_levels(self, channel: int, low: float, high: float) -> None:
        bottom, top = self._range(self._check(channel))
        smallest, largest = self._vpp_range(channel)
        if not bottom <= low <= top or not bottom <= high <= top or not smallest <= high - low <= largest:
            raise ScpiError(-222)
        self._open_vpp[channel] = (high - low) / self.division(channel)
        self._open_offset[channel] = (high + low) / 2.0 / self.division(channel)
        self.drive(channel)

    @command("OUTPut#:LOAD")
    def _set_load(self, channel: int, text: str) -> None:
        """Say what is at the other end: the voltage stays, what is shown changes."""
        said = text.strip().upper()
        known = {"MIN": 1.0, "MAX": 10e3, "DEF": INSIDE_OHM, "INF": math.inf}
        ohms = known.get(said[:3]) if said[:1].isalpha() else parse_number(text, "OHM")
        if ohms is None or not (1.0 <= ohms <= 10e3 or math.isinf(ohms) or ohms >= 9.9e37):
            raise ScpiError(-222 if ohms is not None else -224)
        self._load_ohm[self._check(channel)] = math.inf if ohms >= 9.9e37 else ohms
        self.drive(channel)
        if self.amplitude_unit[channel] == "DBM" and math.isinf(self._load_ohm[channel]):
            self.amplitude_unit[channel] = "VPP"
            raise ScpiError(-221, CONFLICT + "amplitude units changed to Vpp due to high-Z load")

    @query("OUTPut#:LOAD?")
    def _load_query(self, channel: int) -> str:
        ohms = self._load_ohm[self._check(channel)]
        return written(ohms)
