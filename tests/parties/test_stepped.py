"""Two parties that step one served world together: the same photons in every rehearsal, whoever is faster."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from qlab.clock import SteppedClock
from qlab.errors import ClockError, TwinError
from qlab.lab.build import open_lab
from qlab.lab.serving import served_lab
from qlab.parties.commands import PartyOptions, preshare, run_party
from qlab.qkd.ledger import KeyLedger
from qlab.twin.control import ControlServer
from qlab.twin.control_client import ControlClient
from qlab.twin.meeting import Meeting
from qlab.twin.served_clock import ServedClock

if TYPE_CHECKING:
    from pathlib import Path

LIGHT = ("optics.crystal.brightness_hz_per_mw=8000",)
# Both begin at the same picosecond: their clocks are one.
RULES = ("qkd.piece_s=0.2", "qkd.key_bits=8000", "qkd.test_bits=1300", "qkd.eps_sec=1.0e-6")


def rehearse(folder: Path, slow: str) -> Any:
    """Serve a world, let both parties make a key on it over their own sockets, and return Alice's estimate."""
    folder.mkdir()
    preshare(folder / "psk", 40)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with open_lab("bbm92", overrides=LIGHT, clock=SteppedClock(), connect=False) as world:
        assert world.host is not None
        control = ControlServer(world.host, world=world.faults.answer)
        path = folder / "served.yaml"
        path.write_text(yaml.safe_dump(served_lab(world), sort_keys=False))

        def party(side: Any) -> Any:
            # A channel that takes its time makes one party late at every step.
            channel = "latency_s=0.005" if side == slow else ""
            options = PartyOptions(
                folder / side, folder / "psk", address, channel=channel, control=control.port, patience_s=60.0
            )
            return run_party(side, str(path), RULES, options, lambda _: None)

        with ThreadPoolExecutor(2) as pool:
            alice, bob = (one.result(100) for one in [pool.submit(party, side) for side in ("alice", "bob")])
        assert alice.statements[0].estimated == bob.statements[0].estimated
    assert alice.statements[0].reason == ""
    a, b = (KeyLedger(folder / side) for side in ("alice", "bob"))
    assert a.blocks("usable") == b.blocks("usable") == [0]
    assert (a.deliver(0).reveal() == b.deliver(0).reveal()).all()
    return alice.statements[0].estimated, alice.statements[0].corrected_bits


def test_both_see_the_same_photons_in_every_rehearsal(tmp_path: Path) -> None:
    (first, wrong), (second, as_wrong) = (rehearse(tmp_path / slow, slow=slow) for slow in ("alice", "bob"))
    assert (first.n_key, first.n_test) == (second.n_key, second.n_test)
    assert first.n_key >= 8000
    # Double clicks take fresh random bits each time, of which one or two a block are to be expected.
    assert abs(wrong - as_wrong) + abs(first.test_errors - second.test_errors) <= 6


def test_time_passes_while_all_wait_and_to_the_nearest_wait() -> None:
    async def body() -> list[tuple[str, int]]:
        clock, seen = SteppedClock(), list[tuple[str, int]]()
        meeting = Meeting(clock)

        async def party(name: str, *until_ps: int) -> None:
            for t_ps in until_ps:
                for _ in range(3 if name == "slow" else 0):
                    await asyncio.sleep(0)
                assert clock.now_ps() <= t_ps
                await meeting.wait(name, 2, t_ps)
                seen.append((name, clock.now_ps()))
            await meeting.part(name)

        await asyncio.wait_for(asyncio.gather(party("slow", 100, 500, 900), party("quick", 300, 600)), 5.0)
        clock.close()
        return seen

    found = asyncio.run(body())
    assert found == [("slow", 100), ("quick", 300), ("slow", 500), ("quick", 600), ("slow", 900)]


def test_one_alone_waits_for_the_other_and_who_hangs_up_keeps_nobody_waiting(tmp_path: Path) -> None:
    with open_lab("bbm92", clock=SteppedClock(), connect=False, data_dir=tmp_path) as world:
        assert world.host is not None
        control = ControlServer(world.host)
        with ThreadPoolExecutor(1) as pool, ServedClock(control.port, "alice", timeout_s=20.0) as alice:
            alice.sleep(0.1)  # on its own a wait steps the time
            alice.join()
            assert alice.now_ps() == 250_000_000_000
            waiting = pool.submit(alice.sleep, 1.0)
            with ServedClock(control.port, "bob", timeout_s=20.0) as bob:
                assert not waiting.done()
                assert bob.now_ps() == 250_000_000_000
                bob.join()
                bob.sleep(0.5)
                assert bob.now_ps() == 750_000_000_000
                assert not waiting.done()  # bob computes: time stands still
            waiting.result(20)
            assert alice.now_ps() == 1_250_000_000_000
            with pytest.raises(ClockError, match="expected none"):
                alice.call_at(0, lambda: None)
            alice.part()
        with ControlClient("127.0.0.1", control.port) as client:
            with pytest.raises(TwinError, match="expected a name"):
                client.call("meet", name=3, parties=2, until_ps=0)
            with pytest.raises(TwinError, match="expected a name"):
                client.call("part")
