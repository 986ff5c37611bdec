"""Drivers: one Ophyd device class an instrument."""
