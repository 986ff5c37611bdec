"""Twins: the simulated counterpart of each driver, bytes in, bytes out."""
