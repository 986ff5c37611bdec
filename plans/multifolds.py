"""Coincidences of many detectors behind pulsed sources, whose delays the correlations in the data tell."""

from qlab.errors import PlanError
from qlab.run.results import Results

__all__ = ["PatternCounter"]

PEAK_WIDTH_PS = 1000
"""About the width of a coincidence peak: several times the detectors' jitter."""


class PatternCounter:
    """Counts pulses by who clicked in them.

    Parameters
    ----------
    outer, inner : list of int
        Inputs, from 1 and counted through all taggers: detectors of the photons that herald, and of those that meet.  Each
        outer one has coincidences with some inner ones.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int, optional
        Delays of outer and inner inputs where they are known.
    search_ps : int
        Largest lag between two of them that is looked for: less than the pulses' period.

    Attributes
    ----------
    channels : list of int
        From 0, outer first: bit n of a pattern is channel n of this list.
    delays_ps : dict
        Delay of each channel; empty as long as they are not known.
    results : Results
        Behind the events of the stream `coincidences`.
    """

    def __init__(self, outer, inner, window_ps, delays_ps=None, search_ps=100_000):
        inputs = [*outer, *inner]
        if len(set(inputs)) != len(inputs) or min(inputs) < 1:
            msg = f"inputs {list(outer)} and {list(inner)}: expected different numbers from 1"
            raise PlanError(msg)
        if window_ps < 0 or search_ps < PEAK_WIDTH_PS:
            msg = f"window_ps = {window_ps}, search_ps = {search_ps}; expected at least 0, and {PEAK_WIDTH_PS}"
            raise PlanError(msg)
        if delays_ps is not None and len(delays_ps) != len(inputs):
            msg = f"delays_ps has {len(delays_ps)} values; expected {len(inputs)}, one for each of the inputs {inputs}"
            raise PlanError(msg)
        self.channels = [n - 1 for n in inputs]
        self._outer, self._inner = self.channels[: len(outer)], self.channels[len(outer) :]
        self._window_ps, self._search_ps = int(window_ps), int(search_ps)
        self.delays_ps = {} if delays_ps is None else dict(zip(self.channels, map(int, delays_ps), strict=True))
        self.results = Results("coincidences")

    def find(self, block):
        """Find the delays in an acquisition; raises `PlanError` where it does not show them."""
        from qlab.tags.delays import find_delays

        found = find_delays(block, self._outer, self._inner, search_ps=self._search_ps, width_ps=PEAK_WIDTH_PS)
        if found.groups != (tuple(self.channels),):
            tied = (
                " and ".join("(" + ", ".join(str(c + 1) for c in g) + ")" for g in found.groups) or "no inputs at all"
            )
            msg = (
                f"no delays: coincidences tie only {tied} to each other within +-{self._search_ps / 1e3:g} ns; is the source "
                "on and pulsing, is search_s long enough?  Where you know the delays, give delays_ps"
            )
            raise PlanError(msg)
        self.delays_ps = found.delays_ps

    def count(self, block):
        """Return the pulses of each pattern, int64 of shape (2^channels,)."""
        from qlab.tags.pulse_patterns import pulse_patterns

        return pulse_patterns(block, self.channels, self._window_ps, self.delays_ps)

    def delays(self):
        """Return the delays in ps, in the order of `channels`."""
        return [self.delays_ps[channel] for channel in self.channels]
