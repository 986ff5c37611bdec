"""Twins of pump lasers, ovens and other parts of photon sources."""
