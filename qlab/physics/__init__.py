"""The NumPy world: states, sources, fibre, analysers, detectors, taggers, oscillators.  No names, no I/O."""
