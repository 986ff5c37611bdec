"""Twins of single-photon detectors."""
