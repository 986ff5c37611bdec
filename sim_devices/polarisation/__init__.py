"""Twins of wave-plate mounts and other polarisation control."""
