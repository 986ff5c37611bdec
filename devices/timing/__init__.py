"""Clocks: rubidium, GPS-disciplined, and time by fibre."""
