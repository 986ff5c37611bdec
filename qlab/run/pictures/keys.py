"""Pictures of key distribution: blocks with their error rates and what came out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from qlab.run.pictures.axes import BLUE, DARK, ORANGE, new_panels

__all__ = ["draw_keys"]


def draw_keys(results: dict[str, Any]) -> Any:
    """Draw error rates, the bound on phase errors and the secret bits of each block."""
    figure, (rates, bits) = new_panels(2)
    blocks = np.arange(len(results["keys_net_bits"]))
    for name, label, style in (
        ("keys_key_error_rate", "key basis", {"marker": "o", "color": BLUE}),
        ("keys_test_error_rate", "test basis", {"marker": "s", "color": ORANGE}),
        ("keys_phase_error", "phase errors, at most", {"marker": "_", "color": DARK, "ls": "none", "ms": 14}),
    ):
        rates.plot(blocks, 100.0 * np.asarray(results[name], dtype=float), label=label, **style)
    rates.set(ylabel="error rate (%)", ylim=(0.0, None), xticks=blocks)
    rates.legend(frameon=False, ncols=3)
    bits.bar(blocks, results["keys_net_bits"], color=BLUE, width=0.6)
    bits.set(xlabel="block", ylabel="secret bits", xticks=blocks)
    return figure
