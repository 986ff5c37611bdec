"""Coincidences, accidentals and live time of settings of two analysers, added up as a plan comes by them again."""

import numpy as np

from plans.stubs import measure_setting, publish_counts

__all__ = ["SettingCounts"]


class SettingCounts:
    """Measures settings and keeps their sums.

    Parameters
    ----------
    tagger, alice, bob : TimeTagger, PolarisationAnalyser
        The instruments.
    pairs : PairCounter
        Counts.

    Attributes
    ----------
    settings : list
        Bloch vectors (Z, X, Y) of Alice and Bob, in the order in which they came first.
    """

    def __init__(self, tagger, alice, bob, pairs):
        self._tagger, self._alice, self._bob, self._pairs = tagger, alice, bob, pairs
        self.settings: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
        self._counts: list[np.ndarray] = []
        self._accidentals: list[np.ndarray] = []
        self._live_s: list[float] = []

    def measure(self, setting):
        """Take one acquisition of a setting."""
        from qlab.analysis.accidentals import accidental_counts

        a, b = (tuple(float(v) for v in side) for side in setting)
        if (a, b) not in self.settings:
            self.settings.append((a, b))
            self._counts.append(np.zeros((2, 2), dtype=np.int64))
            self._accidentals.append(np.zeros((2, 2)))
            self._live_s.append(0.0)
        k = self.settings.index((a, b))
        yield from measure_setting([self._tagger], [self._alice, self._bob], [(self._alice, a), (self._bob, b)])
        block = self._tagger.last_block
        counted = self._pairs.add(k, block)
        for index, table in counted:
            self._counts[index] += table
        singles = self._pairs.singles(block)
        self._live_s[k] += block.live_s
        self._accidentals[k] += accidental_counts(singles[:2], singles[2:], self._pairs.window_ps, block.live_s)
        yield from publish_counts(self._pairs.results, counted, self._tagger.clock)

    def figures(self):
        """Return settings, shape (N, 2, 3), counts and accidentals, (N, 2, 2), and times, (N,), for the results."""
        return {
            "settings": np.array(self.settings),
            "counts": np.array(self._counts),
            "accidentals": np.array(self._accidentals),
            "live_s": np.array(self._live_s),
        }
