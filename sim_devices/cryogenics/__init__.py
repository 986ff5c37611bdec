"""Cryostats: thermometers and heaters."""
