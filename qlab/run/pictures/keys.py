"""Pictures of key distribution: blocks with their error rates and what came out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_panels

__all__ = ["draw_keys"]


def draw_keys(results: dict[str, Any]) -> Any:
    """Draw error rates, what the secrecy follows from (phase errors, or S) and the secret bits of each block."""
    bell = "keys_s" in results
    figure, (rates, *more, bits) = new_panels(3 if bell else 2)
    blocks = np.arange(len(results["keys_net_bits"]))
    lines: list[tuple[str, str, dict[str, Any]]] = [
        ("keys_key_error_rate", "key basis", {"marker": "o", "color": BLUE}),
        ("keys_test_error_rate", "implied by S" if bell else "test basis", {"marker": "s", "color": ORANGE}),
    ]
    if not bell:
        lines.append(
            ("keys_phase_error", "phase errors, at most", {"marker": "_", "color": DARK, "ls": "none", "ms": 14})
        )
    highest = 0.0
    for name, label, style in lines:
        percent = 100.0 * np.asarray(results[name], dtype=float)
        highest = max(highest, float(np.nanmax(percent, initial=0.0)))
        rates.plot(blocks, percent, label=label, **style)
    # Room above the highest for the legend.
    rates.set(ylabel="error rate (%)", ylim=(0.0, 1.35 * highest or 1.0), xticks=blocks)
    rates.legend(frameon=False, ncols=3, loc="upper left")
    if bell:
        (s,) = more
        sigma = np.asarray(results["keys_s_sigma"], dtype=float)
        s.errorbar(blocks, results["keys_s"], sigma, fmt="o", color=BLUE, label="S, as observed")
        s.plot(blocks, results["keys_s_low"], "_", color=DARK, ms=14, label="the true S is above")
        s.axhline(2.0, color=DARK, lw=1, ls=":")
        s.axhline(2.0 * np.sqrt(2.0), color=DARK, lw=1, ls=":")
        s.set(ylabel="S", ylim=(1.9, 3.05), xticks=blocks)
        s.legend(frameon=False, ncols=2, loc="upper left")
    bits.bar(blocks, results["keys_net_bits"], color=BLUE, width=0.6)
    bits.set(xlabel="block", ylabel="secret bits", xticks=blocks, xlim=(-1.0, max(len(blocks), 1.0)))
    return figure
