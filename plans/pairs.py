"""Coincidences of two analysers, counted setting by setting while a plan runs."""

from typing import TYPE_CHECKING

from plans.stubs import own_delays_ps
from qlab.errors import PlanError
from qlab.run.calibration import read_calibration
from qlab.run.results import Results

if TYPE_CHECKING:
    from qlab.tags.stream import TagBlock

__all__ = ["PairCounter"]

SEARCH_PS = 1_000_000
"""Largest lag between two channels that is looked for."""
PEAK_WIDTH_PS = 2000
"""About the width of a coincidence peak: several times the detectors' jitter."""


class PairCounter:
    """Counts the coincidences of two analysers on one tagger.

    The delays of the four channels are found from the first acquisitions that show them: a pure state behind aligned
    analysers has no coincidences between some of the channels, and only the next settings tie these together.  Until then
    acquisitions wait.

    Parameters
    ----------
    alice, bob : PolarisationAnalyser
        The analysers.
    window_ps : int
        Full width of the coincidence window.
    delays_ps : list of int, optional
        Delays of the four channels where they are known.
    tagger : TimeTagger, optional
        Its calibration document, where `calibrate_tagger` wrote one, takes the place of delays that are not given; the first
        coincidences must agree with it.

    Attributes
    ----------
    channels : list of int
        Alice's transmitted and reflected, Bob's transmitted and reflected; from 0, as tags have them.
    delays_ps : dict
        Delay of each channel; empty as long as it is not known.
    results : Results
        Behind the events of the stream `coincidences`.
    """

    def __init__(self, alice, bob, window_ps: int, delays_ps: list[int] | None = None, tagger=None):
        self.channels = [n - 1 for n in (alice.transmitted, alice.reflected, bob.transmitted, bob.reflected)]
        if window_ps < 0:
            msg = f"window_ps = {window_ps}; expected a full width of 0 ps or more"
            raise PlanError(msg)
        if delays_ps is not None and len(delays_ps) != 4:
            msg = f"delays_ps has {len(delays_ps)} values; expected four: Alice's and Bob's transmitted and reflected"
            raise PlanError(msg)
        self.window_ps = window_ps
        self.delays_ps = {} if delays_ps is None else dict(zip(self.channels, map(int, delays_ps), strict=True))
        self._calibrated: dict[int, int] = {}
        if delays_ps is None and tagger is not None:
            calibration = read_calibration(tagger, own_delays_ps(tagger))
            if calibration is not None and set(self.channels) <= set(calibration.delays_ps):
                self._calibrated = {channel: calibration.delays_ps[channel] for channel in self.channels}
        self._waiting: list[tuple[object, TagBlock]] = []
        self._why = "nothing was measured"
        self.results = Results("coincidences")

    def add(self, key, block):
        """Take one acquisition; returns what could be counted by now as pairs of key and counts, int64 of shape (2, 2)."""
        from qlab.tags.coincidence import coincidence_matrix

        self._waiting.append((key, block))
        if not self.delays_ps:
            self._find()
        if not self.delays_ps:
            return []
        ready, self._waiting = self._waiting, []
        alice, bob = self.channels[:2], self.channels[2:]
        return [(k, coincidence_matrix(b, alice, bob, self.window_ps, self.delays_ps)) for k, b in ready]

    def settle(self):
        """Raise `PlanError` if the delays are still not known."""
        if not self.delays_ps:
            msg = (
                f"no delays after {len(self._waiting)} acquisitions: {self._why}; is the source on, are the acquisitions "
                "long enough?  Where you know them, give delays_ps"
            )
            raise PlanError(msg)

    def singles(self, block):
        """Return the tags of the four channels, int64 of shape (4,)."""
        return block.counts(max(self.channels) + 1)[self.channels]

    def delays(self):
        """Return the four delays in ps, in the order of `channels`."""
        return [self.delays_ps[channel] for channel in self.channels]

    def _find(self):
        from qlab.tags.delays import find_delays
        from qlab.tags.stream import concat

        block = concat(*(block for _, block in self._waiting))
        found = find_delays(block, self.channels[:2], self.channels[2:], search_ps=SEARCH_PS, width_ps=PEAK_WIDTH_PS)
        if self._calibrated and self._agrees(found):
            self.delays_ps = self._calibrated
        elif found.groups == (tuple(self.channels),):
            self.delays_ps = found.delays_ps
        elif found.unresolved:
            lost = ", ".join(str(channel + 1) for channel in found.unresolved)
            self._why = f"input {lost} has no coincidences within +-{SEARCH_PS / 1e6:g} us with the other party"
        elif not self._calibrated:
            groups = " and ".join("(" + ", ".join(str(channel + 1) for channel in g) + ")" for g in found.groups)
            self._why = f"no coincidences tie the inputs {groups} to each other"

    def _agrees(self, found):
        """Return whether peaks were found, all of them where the calibration has them; raise `PlanError` where one is not."""
        peaks = [peak for peak in found.peaks if peak.used]
        for peak in peaks:
            wrong_ps = peak.lag_ps - (self._calibrated[peak.b] - self._calibrated[peak.a])
            if abs(wrong_ps) > PEAK_WIDTH_PS / 4 + 5.0 * peak.error_ps:
                msg = (
                    f"the tagger's calibration is not true any more: coincidences of inputs {peak.a + 1} and {peak.b + 1} "
                    f"are {wrong_ps:.0f} ps from where it has them; run calibrate_tagger again, or delete its document"
                )
                raise PlanError(msg)
        return bool(peaks)
