"""Lab time: stepped order is a matter of lab time alone; paced time follows the wall, but not without bound."""

from __future__ import annotations

import asyncio
import threading

import pytest

from qlab.clock import PS_PER_S, PacedClock, RealClock, SteppedClock
from qlab.errors import ClockError


def _run(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_stepped_sleep_moves_time_exactly_and_at_once() -> None:
    clock = SteppedClock()
    clock.sleep(3600.0)
    assert clock.now_ps() == 3600 * PS_PER_S


def test_waking_order_of_many_threads_is_the_order_of_lab_time() -> None:
    clock = SteppedClock()
    seen: list[tuple[int, int]] = []
    holds = [clock.hold(str(i)) for i in range(8)]  # taken before any thread runs: nobody starts early

    def work(i: int) -> None:
        with holds[i].bound():
            for k in range(20):
                clock.wait_until((k * 8 + (i * 5) % 8) * 1000 + 1)
                seen.append((clock.now_ps(), i))

    _run([threading.Thread(target=work, args=(i,)) for i in range(8)])
    assert len(seen) == 160
    assert seen == sorted(seen)


def test_time_stands_still_while_a_hold_is_active() -> None:
    clock = SteppedClock()
    hold = clock.hold()
    woke = threading.Event()

    def wait() -> None:
        clock.sleep(1.0)
        woke.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not woke.wait(0.05)
    assert clock.now_ps() == 0
    hold.release()
    assert woke.wait(5)
    thread.join()


def test_a_finished_worker_hands_its_hold_over_before_time_moves() -> None:
    """The run engine waits for A (1 s) only; B wakes at 2 s and must not run before the engine has had its turn."""
    for _ in range(50):
        clock = SteppedClock()
        engine, a, b = clock.hold("engine"), clock.hold("a"), clock.hold("b")
        b_woke_at_engine_turn: list[int] = []

        def work(hold: object, seconds: float, clock: SteppedClock = clock) -> None:
            with hold.bound():  # type: ignore[attr-defined]
                clock.sleep(seconds)

        threads = [threading.Thread(target=work, args=(h, s)) for h, s in ((a, 1.0), (b, 2.0))]
        for thread in threads:
            thread.start()
        engine.suspend_until([a])
        threads[0].join()
        b_woke_at_engine_turn.append(clock.now_ps())
        engine.release()
        threads[1].join()
        assert b_woke_at_engine_turn == [PS_PER_S]
        assert clock.now_ps() == 2 * PS_PER_S


def test_timers_run_before_waiters_of_the_same_moment_and_cancelled_ones_never() -> None:
    clock = SteppedClock()
    seen: list[str] = []
    clock.call_at(PS_PER_S, lambda: seen.append("timer"))
    clock.call_at(PS_PER_S // 2, lambda: seen.append("never")).cancel()
    clock.call_at(2 * PS_PER_S, lambda: seen.append("late"))
    clock.wait_until(PS_PER_S)
    assert seen == ["timer"]


def test_a_timer_may_set_another_timer() -> None:
    clock = SteppedClock()
    seen: list[int] = []

    def tick() -> None:
        seen.append(clock.now_ps())
        if len(seen) < 5:
            clock.call_at(clock.now_ps() + 10, tick)

    clock.call_at(10, tick)
    clock.wait_until(45)
    assert seen == [10, 20, 30, 40]


def test_an_async_sleep_gives_up_its_hold_and_has_it_back() -> None:
    clock = SteppedClock()
    hold = clock.hold()

    async def go() -> tuple[int, bool]:
        await clock.sleep_async(2.5, hold)
        return clock.now_ps(), hold.active

    assert asyncio.run(go()) == (5 * PS_PER_S // 2, True)


def test_a_cancelled_async_sleep_keeps_time_and_hold() -> None:
    clock = SteppedClock()
    blocker, hold = clock.hold(), clock.hold()

    async def go() -> None:
        task = asyncio.create_task(clock.sleep_async(1.0, hold))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert hold.active
    blocker.release()
    hold.release()
    assert clock.now_ps() == 0


def test_closing_wakes_the_waiters_with_an_error() -> None:
    for clock in (SteppedClock(), PacedClock()):
        hold = clock.hold()
        failed: list[bool] = []

        def wait(clock: SteppedClock | PacedClock = clock, failed: list[bool] = failed) -> None:
            try:
                clock.sleep(1e6)
            except ClockError:
                failed.append(True)

        thread = threading.Thread(target=wait)
        thread.start()
        while clock.mode == "stepped" and not clock._heap:
            pass
        clock.close()
        thread.join(5)
        assert failed == [True]
        hold.release()


def test_paced_time_is_wall_time_multiplied_and_timers_are_served() -> None:
    with PacedClock(speed=1000.0) as clock:
        done = threading.Event()
        start = clock.now_ps()
        clock.call_at(start + 20 * PS_PER_S, done.set)
        clock.sleep(10.0)
        assert clock.now_ps() - start >= 10 * PS_PER_S
        assert done.wait(5)


def test_paced_time_catches_up_only_so_far() -> None:
    with PacedClock(speed=1e9, catch_up_s=1.0) as clock:
        first = clock.now_ps()
        assert clock.now_ps() - first <= PS_PER_S


def test_a_real_clock_runs_at_wall_speed() -> None:
    with RealClock() as clock:
        assert clock.mode == "real"
        assert clock.wall_s(2.0) == 2.0
        assert clock.now_s() >= clock.epoch_s


def test_a_speed_of_zero_is_refused() -> None:
    with pytest.raises(ClockError, match="positive"):
        PacedClock(speed=0.0)
