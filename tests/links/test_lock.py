"""A dialogue in lab time does not stop the time of those who wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devices.all_status import AllStatus
from devices.worker import run_in_thread
from qlab.links.lock import ClockLock

if TYPE_CHECKING:
    from qlab.clock import SteppedClock


def test_time_moves_for_the_one_inside_while_others_wait_at_the_door(clock: SteppedClock) -> None:
    lock = ClockLock(clock)
    turns: list[int] = []

    def dialogue() -> None:
        with lock, lock:
            clock.sleep(1.0)
            turns.append(clock.now_ps())

    AllStatus(clock, "all", [lambda: run_in_thread(clock, "worker", dialogue)] * 3).wait(10)

    assert turns == [10**12, 2 * 10**12, 3 * 10**12]  # one after the other, a second each


def test_a_thread_without_a_hold_may_use_the_lock(clock: SteppedClock) -> None:
    lock = ClockLock(clock)

    with lock:
        clock.sleep(0.5)

    assert clock.now_ps() == 5 * 10**11


def test_all_of_several_fails_with_the_first_failure_after_all_have_ended(clock: SteppedClock) -> None:
    def fail() -> None:
        clock.sleep(1.0)
        msg = "stuck"
        raise RuntimeError(msg)

    both = AllStatus(
        clock,
        "both",
        [
            lambda: run_in_thread(clock, "fails", fail),
            lambda: run_in_thread(clock, "sleeps", lambda: clock.sleep(3.0)),
        ],
    )

    assert str(both.exception(10)) == "stuck"
    assert clock.now_ps() == 3 * 10**12
