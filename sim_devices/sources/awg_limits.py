"""What each model of the Keysight 33500B and 33600A series can do: channels, and limits that depend on the function."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MODELS", "Model"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model; frequencies in Hz, times in s [INF] but for sine and channels (qcodes, pymeasure and data sheet agree).

    Attributes
    ----------
    shortest_s:
        The shortest pulse.
    edge_s:
        The fastest edge of a pulse.
    has_arbitrary:
        Whether it plays arbitrary waveforms.
    """

    channels: int
    sine_hz: float
    square_hz: float
    ramp_hz: float
    prbs_hz: float
    sample_hz: float
    shortest_s: float
    edge_s: float
    has_arbitrary: bool

    def highest_hz(self, function: str) -> float:
        """Return the highest frequency of a function."""
        slow = {"RAMP": self.ramp_hz, "TRI": self.ramp_hz, "SQU": self.square_hz, "PULS": self.square_hz}
        return slow.get(function, self.sine_hz)

    def largest_vpp(self, function: str, frequency_hz: float) -> float:
        """Return the largest amplitude into 50 Ohm: 10 Vpp, and of fast sines and squares of a 33600A less."""
        if self.sine_hz < 80e6 or function not in ("SIN", "SQU", "PULS"):
            return 10.0
        return 10.0 if frequency_hz <= 20e6 else 8.0 if frequency_hz <= 60e6 else 4.0


def _b(channels: int, megahertz: float, *, has_arbitrary: bool) -> Model:
    return Model(
        channels, megahertz * 1e6, megahertz * 1e6, 200e3, 50e6, 250e6, 16e-9, 8.4e-9, has_arbitrary=has_arbitrary
    )


def _a(channels: int, megahertz: float, square: float, sample: float) -> Model:
    edge = 4e-9 if megahertz < 100 else 2.9e-9
    return Model(
        channels, megahertz * 1e6, square * 1e6, 800e3, 2 * square * 1e6, sample, 5e-9, edge, has_arbitrary=True
    )


MODELS = {
    "33509B": _b(1, 20, has_arbitrary=False),
    "33510B": _b(2, 20, has_arbitrary=False),
    "33511B": _b(1, 20, has_arbitrary=True),
    "33512B": _b(2, 20, has_arbitrary=True),
    "33519B": _b(1, 30, has_arbitrary=False),
    "33520B": _b(2, 30, has_arbitrary=False),
    "33521B": _b(1, 30, has_arbitrary=True),
    "33522B": _b(2, 30, has_arbitrary=True),
    "33611A": _a(1, 80, 50, 660e6),
    "33612A": _a(2, 80, 50, 660e6),
    "33621A": _a(1, 120, 100, 1e9),
    "33622A": _a(2, 120, 100, 1e9),
}
"""By what `*IDN?` says."""
