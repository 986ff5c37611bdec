"""The correlation matrix of two analysers, as a piece of plans."""

import numpy as np

from plans.stubs import measure_setting, publish_counts

__all__ = ["AXES_XYZ", "ZXY", "measure_axes"]

AXES_XYZ = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
"""The Bloch axes x, y, z as an analyser takes them, (Z, X, Y)."""
ZXY = [2, 0, 1]
"""Where an analyser's axes stand in x, y, z."""


def measure_axes(tagger, alice, bob, pairs, more=()):
    """Measure all pairs of axes; returns coincidences of shape (3, 3, 2, 2): Alice's axis, Bob's, and both outcomes.

    Parameters
    ----------
    tagger : TimeTagger
        Its acquisition time is set already.
    alice, bob : PolarisationAnalyser
        The analysers.
    pairs : PairCounter
        Counts; knows the delays afterwards.
    more : list of Readable
        Read too.
    """
    counts = np.zeros((3, 3, 2, 2), dtype=np.int64)
    for i, a in enumerate(AXES_XYZ):
        for j, b in enumerate(AXES_XYZ):
            yield from measure_setting([tagger], [alice, bob, *more], [(alice, a), (bob, b)])
            counted = pairs.add(3 * i + j, tagger.last_block)
            for setting, table in counted:
                counts[divmod(setting, 3)] = table
            yield from publish_counts(pairs.results, counted, tagger.clock)
    pairs.settle()
    return counts
