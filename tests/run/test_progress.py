"""The live table and the bar, from documents of a run."""

from __future__ import annotations

import io
from typing import Any

from qlab.clock import PS_PER_S, SteppedClock
from qlab.run.progress import Progress

KEYS = {
    "alice_deg": {"dtype": "number", "shape": [], "source": "", "units": "deg"},
    "power": {"dtype": "number", "shape": [], "source": "", "units": "W"},
    "counts": {"dtype": "array", "shape": [2], "source": ""},
    "word": {"dtype": "string", "shape": [], "source": ""},
    "silent": {"dtype": "number", "shape": [], "source": ""},
}
HINTS = {"a": {"fields": ["alice_deg", "power"]}, "t": {"fields": ["counts", "word"]}}


def play(points: int, total: int | None, status: str = "success") -> tuple[list[str], str]:
    out, terminal, wall = io.StringIO(), io.StringIO(), iter(range(0, 1000, 2))
    with SteppedClock() as clock:
        clock.wait_until(100 * PS_PER_S)
        progress = Progress(clock, out, terminal, lambda: float(next(wall)))
        start: dict[str, Any] = {"uid": "0123456789", "time": 1.0, "scan_id": 4, "plan_name": "scan"}
        progress("start", start | ({} if total is None else {"num_points": total}))
        progress("descriptor", {"uid": "d", "name": "primary", "data_keys": KEYS, "hints": HINTS})
        progress("descriptor", {"uid": "e", "name": "analysis", "data_keys": {}, "hints": {}})
        for n in range(points):
            clock.sleep(0.5)
            data = {"alice_deg": 22.5 * n, "power": 1.25e-3, "counts": [n, 10], "word": "x", "silent": 1.0}
            progress("event", {"descriptor": "d", "data": data, "time": 0.0})
            progress("event", {"descriptor": "e", "data": {}, "time": 0.0})
        progress("stop", {"exit_status": status, "reason": ""})
    return out.getvalue().splitlines(), terminal.getvalue()


def test_a_row_a_point_with_hinted_numbers_units_and_lab_time() -> None:
    lines, _ = play(2, 2)
    assert lines[0] == "run 01234567 (scan 4): scan"
    assert lines[1].split() == ["point", "lab", "time/s", "alice_deg", "power", "(W)", "counts"]
    assert lines[2].split() == ["1", "0.500", "0", "0.00125", "sum", "10"]
    assert lines[3].split() == ["2", "1.000", "22.5", "0.00125", "sum", "11"]
    assert len(lines) == 4


def test_the_bar_estimates_the_end_from_the_points_so_far() -> None:
    _, bar = play(3, 9)
    # wall time goes on by 2 s a look: at the third point 6 s are spent, 2 s a point, 6 points are left
    assert "[##########--------------------] 3 of at most 9 points in 0:06, at most 0:12 left" in bar
    assert bar.endswith("\r\x1b[K")


def test_without_a_number_of_points_there_is_no_estimate() -> None:
    _, bar = play(2, None)
    assert "2 points in 0:04" in bar
    assert "left" not in bar


def test_an_end_that_is_no_success_is_said() -> None:
    lines, _ = play(1, 5, "abort")
    assert lines[-1] == "the run ended with abort: no reason given"
