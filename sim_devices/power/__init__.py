"""Twins of optical power meters."""
