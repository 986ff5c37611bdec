"""The thermistor at a laser diode: R = R25 exp(B (1/T - 1/T25)), as its data sheets have it."""

from __future__ import annotations

import math

__all__ = ["celsius", "resistance_kohm"]

KOHM_25, BETA_K = 10.0, 3950.0
"""[INF]"""
KELVIN, WARM_K = 273.15, 298.15


def resistance_kohm(celsius: float) -> float:
    """Return the resistance in kilohms at a temperature."""
    return KOHM_25 * math.exp(BETA_K * (1.0 / (celsius + KELVIN) - 1.0 / WARM_K))


def celsius(kohm: float) -> float:
    """Return the temperature at a resistance in kilohms."""
    return 1.0 / (math.log(kohm / KOHM_25) / BETA_K + 1.0 / WARM_K) - KELVIN
