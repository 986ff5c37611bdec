"""The PRS10's six status bytes: which bits a fault sets, and which the oscillator sets by itself."""

from __future__ import annotations

__all__ = [
    "BAD_PARAMETER",
    "BAD_SYNTAX",
    "COLD",
    "CONDITIONS",
    "FAULTS",
    "LOST_LOCK",
    "WAS_RESET",
]

FAULT_NAMES: tuple[tuple[str, ...], ...] = (
    ("supply_low", "supply_high", "heater_supply_low", "heater_supply_high", "lamp_failing", "lamp_bright", "gate_low",
     "gate_high"),
    ("synthesiser_unlocked", "varactor_low", "varactor_high", "vco_low", "vco_high", "agc_low", "agc_high",
     "synthesiser_parameter"),
    ("lamp_cold", "lamp_hot", "crystal_cold", "crystal_hot", "cell_cold", "cell_hot", "case_cold", "case_too_hot"),
    ("", "", "efc_high", "efc_low", "calibration_high", "calibration_low"),
    ("", "", "", "bad_pulses", "pps_interval", "pll_restarted", "pps_saturated"),
    ("lamp_restarted", "watchdog", "bad_interrupt", "eeprom_written", "eeprom_corrupt"),
)  # fmt: skip
"""[V2] By byte and bit; without a name what the oscillator sets by itself."""
FAULTS = {name: (byte, bit) for byte, names in enumerate(FAULT_NAMES) for bit, name in enumerate(names) if name}
LOST_LOCK = ("lamp_failing", "case_too_hot")
CONDITIONS = {
    "loop_off": (3, 0),
    "loop_disabled": (3, 1),
    "pll_disabled": (4, 0),
    "few_pulses": (4, 1),
    "pll_active": (4, 2),
    "no_pps": (4, 7),
}
"""[V2] Byte and bit of what it sets by itself as long as it is so."""
COLD = 0b0001_0101
"""[V2] Lamp, crystal and cell below their temperatures, in byte 3."""
BAD_SYNTAX, BAD_PARAMETER, WAS_RESET = 1 << 5, 1 << 6, 1 << 7
"""[V2] What has happened, in byte 6."""
