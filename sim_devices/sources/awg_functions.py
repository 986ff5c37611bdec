"""Functions of a generator: sine to arbitrary, their frequencies and shapes, and `APPLy`, which sets all at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qlab.twin.scpi import ScpiError, choice, command, parameter, query
from qlab.twin.scpi_values import short_form
from sim_devices.sources.awg_arbitrary import Arbitrary
from sim_devices.sources.awg_channels import FORMAT, per_channel
from sim_devices.sources.awg_triggers import Triggers
from sim_devices.sources.awg_waveform import Waveform, rms_per_vpp

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim_devices.sources.awg_limits import Model

__all__ = ["Functions"]

KINDS = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARBitrary", "DC")
LOWEST_HZ = 1e-6
CONFLICT = "Settings conflict; "


def _apply(kind: str) -> Callable[..., None]:
    def method(self: Functions, channel: int, hertz: str = "DEF", volts: str = "DEF", offset: str = "DEF") -> None:
        self.apply(channel, short_form(kind), hertz, volts, offset)

    return command(f"[SOURce#:]APPLy:{kind}")(method)


class Functions(Arbitrary, Triggers):
    """The `FUNCtion`, `FREQuency`, `PHASe` and `APPLy` commands."""

    model: Model

    function = per_channel("[SOURce#:]FUNCtion", "SIN", choices=KINDS)
    frequency_hz = per_channel("[SOURce#:]FREQuency[:CW]", 1e3, units="HZ")
    frequency_mode = per_channel("[SOURce#:]FREQuency:MODE", "CW", choices=("CW", "LIST", "SWEep", "FIXed"))
    phase_deg = per_channel("[SOURce#:]PHASe[:ADJust]", 0.0, limits=(-360.0, 360.0))
    duty_percent = per_channel("[SOURce#:]FUNCtion:SQUare:DCYCle", 50.0, limits=(0.01, 99.99))
    symmetry_percent = per_channel("[SOURce#:]FUNCtion:RAMP:SYMMetry", 100.0, limits=(0.0, 100.0))
    bandwidth_hz = per_channel("[SOURce#:]FUNCtion:NOISe:BANDwidth", 1e5, units="HZ")
    bits_per_s = per_channel("[SOURce#:]FUNCtion:PRBS:BRATe", 1e3)
    bits = per_channel("[SOURce#:]FUNCtion:PRBS:DATA", "PN7", choices=("PN7", "PN9", "PN11", "PN15", "PN20", "PN23"))
    pulse_hold = per_channel("[SOURce#:]FUNCtion:PULSe:HOLD", "WIDT", choices=("WIDTh", "DCYCle"))
    pulse_width_s = per_channel("[SOURce#:]FUNCtion:PULSe:WIDTh", 1e-4, units="S")
    pulse_duty_percent = per_channel("[SOURce#:]FUNCtion:PULSe:DCYCle", 10.0, limits=(0.0, 100.0))
    leading_s = per_channel("[SOURce#:]FUNCtion:PULSe:TRANsition[:LEADing]", 1e-8, units="S")
    trailing_s = per_channel("[SOURce#:]FUNCtion:PULSe:TRANsition:TRAiling", 1e-8, units="S")
    reference = parameter("ROSCillator:SOURce", "INT", choices=("INTernal", "EXTernal"))
    angle_unit = parameter("UNIT:ANGLe", "DEG", choices=("DEGree", "RADian", "SECond"))
    sync_on = parameter("OUTPut:SYNC[:STATe]", True)
    sync_source = parameter("OUTPut:SYNC:SOURce", "CH1", choices=("CH1", "CH2"))
    display = parameter("DISPlay", True)

    _sine, _square, _triangle = _apply("SINusoid"), _apply("SQUare"), _apply("TRIangle")
    _ramp, _pulse, _prbs = _apply("RAMP"), _apply("PULSe"), _apply("PRBS")
    _noise, _arbitrary, _dc = _apply("NOISe"), _apply("ARBitrary"), _apply("DC")

    def reset_functions(self) -> None:
        """Select the power-on waveform, whatever is loaded."""
        self.select_built_in()

    def drive(self, channel: int) -> None:
        """Let the world know what an output does."""
        raise NotImplementedError

    def may_switch_on(self) -> bool:
        """Tell whether nothing keeps the outputs off."""
        raise NotImplementedError

    def function_of(self, channel: int) -> str:
        """Return the function of a channel."""
        return self.function[channel]

    def is_dc(self, channel: int) -> bool:
        """Tell whether the channel gives a direct voltage."""
        return self.function[channel] == "DC"

    def cycle_hz(self, channel: int) -> float:
        """Return how often the function repeats; for noise and bits, how often a value comes."""
        rates = {"NOIS": self.bandwidth_hz, "PRBS": self.bits_per_s}
        if self.function[channel] == "ARB":
            return self.arbitrary_hz(channel)
        return rates.get(self.function[channel], self.frequency_hz)[channel]

    def waveform(self, channel: int, draw: Callable[[int], float]) -> Waveform:
        """Return the function with its shape."""
        function = self.function[channel]
        pulse = self.pulse_width_s[channel] * self.frequency_hz[channel]
        duty = pulse if function == "PULS" else self.duty_percent[channel] / 100.0
        edge = self.leading_s[channel] * self.frequency_hz[channel]
        points, filtered = self.points(channel), self.filter[channel] != "OFF"
        return Waveform(function, duty, self.symmetry_percent[channel] / 100.0, edge, points, filtered, draw)

    def largest_vpp(self, channel: int) -> float:
        """Return the largest amplitude into 50 Ohm."""
        return self.model.largest_vpp(self.function[channel], self.cycle_hz(channel))

    def rms_per_vpp(self, channel: int) -> float:
        """Return the effective value of 1 Vpp."""
        return rms_per_vpp(self.waveform(channel, lambda _: 0.0))

    def limits_of(self, name: str) -> tuple[float, float] | None:
        """Return limits that depend on model, function and period."""
        what, _, number = name.partition(".")
        channel = int(number or 1)
        period, m = 1.0 / self.frequency_hz[channel], self.model
        return {
            "frequency_hz": (LOWEST_HZ, m.highest_hz(self.function[channel])),
            "bandwidth_hz": (1e-3, m.sine_hz),
            "bits_per_s": (1e-3, m.prbs_hz),
            "sample_hz": (LOWEST_HZ, m.sample_hz),
            "pulse_width_s": (m.shortest_s, max(period - m.shortest_s, m.shortest_s)),
            "leading_s": (m.edge_s, 1e-6),
            "trailing_s": (m.edge_s, 1e-6),
        }.get(what)

    def follow(self, channel: int, name: str) -> None:
        """Change what contradicts a new setting, and say so [INF] the words."""
        if name == "output_on" and self.output_on[channel] and not self.may_switch_on():
            self.output_on[channel] = False
            self.fail(ScpiError(-221, CONFLICT + "output overloaded"))
        if name == "function":
            self._check_function(channel)
        if name == "pulse_duty_percent":
            self.pulse_width_s[channel] = self.pulse_duty_percent[channel] / 100.0 / self.frequency_hz[channel]
        if name == "pulse_width_s":
            self.pulse_duty_percent[channel] = 100.0 * self.pulse_width_s[channel] * self.frequency_hz[channel]
        if self.function[channel] == "PULS" and name in ("frequency_hz", "function", "pulse_duty_percent"):
            self._fit_pulse(channel)
        self.fit_amplitude(channel, "amplitude reduced for new frequency or function")
        self.check_bursts(channel)
        self.drive(channel)

    def _check_function(self, channel: int) -> None:
        if self.function[channel] == "ARB" and not self.model.has_arbitrary:
            self.function[channel] = "SIN"
            self.fail(ScpiError(-221, CONFLICT + "no arbitrary waveforms in this model"))
        highest = self.model.highest_hz(self.function[channel])
        if self.frequency_hz[channel] > highest:
            self.frequency_hz[channel] = highest
            self.fail(ScpiError(-221, CONFLICT + "frequency reduced for new function"))

    def _fit_pulse(self, channel: int) -> None:
        """Keep the duty cycle, or the width where it fits into the period."""
        if self.pulse_hold[channel] == "DCYC":
            self.pulse_width_s[channel] = self.pulse_duty_percent[channel] / 100.0 / self.frequency_hz[channel]
        low, high = self.limits_of(f"pulse_width_s.{channel}") or (0.0, math.inf)
        width = min(max(self.pulse_width_s[channel], low), high)
        if width < self.pulse_width_s[channel]:
            self.fail(ScpiError(-221, CONFLICT + "pulse width decreased due to period"))
        self.pulse_width_s[channel] = width
        self.pulse_duty_percent[channel] = 100.0 * width * self.frequency_hz[channel]

    def apply(self, channel: int, function: str, hertz: str, volts: str, offset: str) -> None:
        """Set a function with frequency, amplitude and offset, trigger by itself, and switch the output on."""
        self.set_of("function", channel, function)
        if function == "ARB":
            self.set_of("sample_hz", channel, hertz)
        elif function not in ("DC", "NOIS", "PRBS"):
            self.set_of("frequency_hz", channel, hertz)
        if function != "DC":
            self.set_amplitude(channel, volts)
        self.set_offset(channel, offset)
        self.burst_on[channel], self.source[channel] = False, "IMM"
        self.set_of("output_on", channel, "1")

    @query("[SOURce#:]APPLy?")
    def _applied(self, channel: int) -> str:
        first = self.sample_hz[channel] if self.function[channel] == "ARB" else self.frequency_hz[channel]
        numbers = (first, self.vpp(channel), self.offset_v(channel))
        return f'"{self.function[channel]} {",".join(f"{value:{FORMAT}}" for value in numbers)}"'

    @command("[SOURce#:]FUNCtion:PULSe:PERiod", "[SOURce#:]FUNCtion:SQUare:PERiod")
    def _set_period(self, channel: int, seconds: str) -> None:
        self.set_of("frequency_hz", channel, repr(self.inverse(seconds, "S")))

    @query("[SOURce#:]FUNCtion:PULSe:PERiod?", "[SOURce#:]FUNCtion:SQUare:PERiod?")
    def _period(self, channel: int) -> str:
        return f"{1.0 / self.frequency_hz[self._channel(channel)]:{FORMAT}}"

    @command("[SOURce#:]FUNCtion:PULSe:TRANsition:BOTH")
    def _both_edges(self, channel: int, seconds: str) -> None:
        self.set_of("trailing_s", channel, seconds)
        self.set_of("leading_s", channel, seconds)

    @command("[SOURce[1]:]PHASe:SYNChronize")
    def _synchronise(self, *_: object) -> None:
        """Begin all channels at the same phase; those of the twin always do."""

    @query("ROSCillator:SOURce:CURRent?")
    def _reference_used(self) -> str:
        return self.reference

    @command("SYSTem:BEEPer[:IMMediate]", "DISPlay:TEXT", "DISPlay:TEXT:CLEar", "SYSTem:REMote", "SYSTem:LOCal")
    def _ignore(self, *_: str) -> None:
        """Do what nobody here sees or hears."""

    @command("OUTPut:SYNC:MODE", choice("NORMal", "CARRier", "MARKer"))
    def _sync_mode(self, _: str) -> None:
        """Shape the pulse that marks the beginning of a period."""
