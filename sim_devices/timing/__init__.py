"""Twins of clocks."""
