"""Every instrument: the same exercise on its twin, on a cassette and on hardware; wire faults, power cycles, noise.

The cassettes were recorded from the twins (`make cassettes`): nobody here owns the instruments.  A lab that does records
its own by `qlab record LAB` and checks the drivers by `qlab replay`, and exercises its instruments by
`pytest -m hardware --lab LAB tests/conformance`.
"""

from __future__ import annotations

import itertools
import os
import socket
from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import bluesky.plans as bp
import numpy as np
import pytest
import zmq
from bluesky.utils import FailedStatus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlab.errors import QlabError
from qlab.lab.build import open_lab
from qlab.lab.exercise import exercise, replay
from qlab.links.cassette import read_cassette
from qlab.run.engine import Session
from qlab.run.options import RunOptions
from qlab.twin.faults import WIRE_FAULTS, WireFault

from .conftest import CASSETTES, LASERS, PULSERS, lasers, pulsers, with_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from qlab.lab.build import Lab
    from qlab.twin.mount import Mount

LIT = ("laser_on", "emission", "emitting", "output_on", "rate_hz")
"""How twins call light, or pulses that may make it, in what they show."""


def cassette_of(cls: str) -> Path:
    return CASSETTES / f"{cls.rpartition('.')[2]}.jsonl"


def check(result: dict[str, Any]) -> None:
    """Check what the exercise returned."""
    assert result["identity"].strip()
    assert isinstance(result["firmware"], str)  # empty where the instrument does not tell
    assert result["health"] == []
    assert result["reading"]


def light(lab: Lab) -> list[str]:
    """Return what shines on the front panel."""
    peek = getattr(lab.mounts["it"].twin, "peek", dict)()
    return [key for key in LIT if peek.get(key)]


def test_it_masters_the_exercise_on_its_twin_twice(alone: Callable[..., Lab], cls: str) -> None:
    lab = alone(cls, connect=False)
    device = lab.devices["it"]
    check(exercise(device))
    check(exercise(device))
    assert not light(lab)
    assert device.health.ok.get()


def test_it_sends_what_its_cassette_has_and_makes_of_the_replies_what_was_made_of_them(cls: str) -> None:
    assert cassette_of(cls).exists(), "record it: make cassettes"
    result = replay(cassette_of(cls))
    assert result["identity"]


@pytest.mark.hardware
def test_it_masters_the_exercise_for_real(real: tuple[str, str], tmp_path: Path) -> None:
    name, instrument = real
    with open_lab(name, data_dir=tmp_path, connect=False) as lab:
        result = exercise(lab.devices[instrument])
    assert result["identity"].strip()


def test_after_every_wire_fault_it_is_right_or_says_what_is_wrong_and_then_works_again(
    alone: Callable[..., Lab], cls: str
) -> None:
    lab = alone(cls)
    device, mount = lab.devices["it"], lab.mounts["it"]
    for fault in WIRE_FAULTS:
        mount.faults.arm(WireFault(fault))
        with suppress(QlabError):  # anything else is a bug
            device.trigger().wait(60)
        mount.faults.clear()
        lab.clock.sleep(1.0)
        device.trigger().wait(60)
        assert device.health.ok.get(), f"{fault}: {device.health.reason.get()}"
    assert not light(lab)


def test_a_power_cycle_in_mid_run_is_survived_or_reported_and_nothing_shines_by_itself(
    alone: Callable[..., Lab], cls: str, tmp_path: Path
) -> None:
    lab = alone(cls)
    device, mount = lab.devices["it"], lab.mounts["it"]
    with Session(lab, RunOptions(data_dir=tmp_path, catalogue_uri=None)) as session:

        def pull_the_plug(name: str, document: dict[str, Any]) -> None:
            if name == "event" and document["seq_num"] == 2:
                mount.power_cycle(boot_s=2.0)

        token = session.RE.subscribe(pull_the_plug)
        failure: Exception | None = None
        try:
            session.run(bp.count([device], 4))
        except FailedStatus as error:  # as bluesky wraps what went wrong
            failure = error
        assert failure is None or isinstance(failure.__cause__, QlabError)
        session.RE.unsubscribe(token)
        lab.clock.sleep(30.0 + device.warm_up_s)
        assert not light(lab)
        result = session.run(bp.count([device], 2))
        assert result is not None
    if not device.refresh_health() and hasattr(device, "home"):  # its zero was lost: a person has to decide
        device.home().wait(60)
    assert device.refresh_health(), device.health.reason.get()


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_on_the_wire_before_us_does_not_keep_the_driver_out(
    alone: Callable[..., Lab], cls: str, seed: int
) -> None:
    lab = alone(cls, connect=False)
    rng = np.random.default_rng(seed)
    words = b"".join(data for _, data in read_cassette(cassette_of(cls)).tracks["main"])
    at = int(rng.integers(0, max(len(words) - 40, 1)))
    shout(lab.mounts["it"], rng.bytes(int(rng.integers(1, 200))) + words[at : at + 40])
    lab.clock.sleep(30.0)
    device = lab.devices["it"]
    device.connect()
    device.trigger().wait(60)


def shout(mount: Mount, noise: bytes) -> None:
    """Send bytes as a stranger, wait until the twin has them, and go."""
    before, address = mount.received, mount.address
    if address.startswith("TCPIP"):
        _, host, port, _ = address.split("::")
        with socket.create_connection((host, int(port)), timeout=5) as stranger:
            stranger.sendall(noise)
            wait_for(mount, before + len(noise))
    elif address.startswith("udp://"):
        host, port = address.removeprefix("udp://").split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(noise, (host, int(port)))
            wait_for(mount, before + len(noise))
    elif address.startswith("tcp://"):
        with zmq.Context() as context, context.socket(zmq.REQ) as stranger:
            stranger.setsockopt(zmq.LINGER, 0)
            stranger.connect(address)
            stranger.send(noise)
            wait_for(mount, before + len(noise))
    else:
        port = os.open(address, os.O_RDWR | os.O_NOCTTY)
        try:
            import tty

            tty.setraw(port)
            os.write(port, noise)
            wait_for(mount, before + len(noise))
        finally:
            os.close(port)


def wait_for(mount: Mount, count: int) -> None:
    for _ in range(200_000):
        if mount.received >= count and not mount.busy:
            return
        os.sched_yield()
    msg = f"the twin took in {mount.received} bytes; expected {count}"
    raise AssertionError(msg)


NOISE = st.lists(
    st.one_of(st.binary(max_size=40), st.tuples(st.integers(0, 5000), st.integers(1, 60), st.binary(max_size=4))),
    max_size=6,
)


def test_random_bytes_never_crash_the_twin_and_a_power_cycle_always_heals_it(
    alone: Callable[..., Lab], cls: str
) -> None:
    lab = alone(cls, connect=False)
    twin = lab.mounts["it"].twin
    track = list(read_cassette(cassette_of(cls)).tracks["main"])
    words = b"".join(data for what, data in track if what == "write")
    spoken = itertools.dropwhile(lambda piece: piece[0] == "read", track)  # some instruments speak first
    hello = b"".join(data for _, data in itertools.takewhile(lambda piece: piece[0] == "write", spoken))
    assert lab.host is not None

    def reply(question: bytes) -> bytes:
        conversation = twin.connect()
        said = conversation.receive(question)
        for _ in range(50):
            due = conversation.due_ps()
            if due is None:
                break
            lab.clock.wait_until(due)
            said += conversation.wake()
        conversation.close()
        return said

    twin.reset_power()
    expected = reply(hello)
    assert expected

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(NOISE)
    def bombard(noise: list[bytes | tuple[int, int, bytes]]) -> None:
        conversation = twin.connect()
        for each in noise:
            if isinstance(each, bytes):
                conversation.receive(each)
            else:  # what the driver says, from anywhere in the middle, and something unexpected behind it
                at, size, behind = each
                conversation.receive(words[at % len(words) :][:size] + behind)
        conversation.close()
        twin.reset_power()
        assert reply(hello)

    bombard()


@pytest.mark.parametrize("many", with_ports(), ids=lambda name: name.rpartition(".")[2])
def test_random_bytes_never_crash_the_other_ports_of_an_instrument(alone: Callable[..., Lab], many: str) -> None:
    lab, cls = alone(many, connect=False), many
    others = {name: mount for name, mount in lab.mounts.items() if name.startswith("it.")}
    assert len(others) > 1
    rng = np.random.default_rng(5)
    words = b"".join(data for _, data in read_cassette(cassette_of(cls)).tracks["main"])
    for name, mount in others.items():
        for _ in range(60):
            conversation = mount.twin.connect()
            for size in rng.integers(1, 60, 4):
                at = int(rng.integers(0, len(words)))
                noise = rng.bytes(int(size)) if size % 2 else words[at : at + size] + rng.bytes(2)
                conversation.receive(noise)
                due = conversation.due_ps()
                if due is not None and due <= lab.clock.now_ps() + 10**11:
                    lab.clock.wait_until(max(due, lab.clock.now_ps()))
                    conversation.wake()
            conversation.close()
        mount.twin.reset_power()
        assert isinstance(mount.twin.connect().receive(b"\r\n"), bytes), name


def test_every_laser_is_tried() -> None:
    assert {name.rpartition(".")[2] for name in lasers()} == set(LASERS)


@pytest.mark.parametrize("laser", lasers(), ids=lambda name: name.rpartition(".")[2])
def test_a_laser_that_was_on_stays_dark_after_a_power_cycle_a_reconnection_and_a_fault(
    alone: Callable[..., Lab], laser: str
) -> None:
    lab = alone(laser, settings=LASERS[laser.rpartition(".")[2]])
    device, mount = lab.devices["it"], lab.mounts["it"]
    assert not light(lab)
    device.switch_on().wait(120)
    assert light(lab)  # so that darkness below means something
    mount.power_cycle(boot_s=2.0)
    assert not light(lab)
    with suppress(QlabError):
        device.trigger().wait(60)
    lab.clock.sleep(30.0 + device.warm_up_s)
    with suppress(QlabError):  # that the light went out may be said once
        device.trigger().wait(60)
    device.trigger().wait(60)
    assert not light(lab)
    device.switch_on().wait(120)  # a person asks for it
    assert light(lab)
    mount.faults.arm(WireFault("drop"))
    with suppress(QlabError):
        device.trigger().wait(60)
    mount.faults.clear()
    device.switch_off().wait(60)
    assert not light(lab)
    device.unstage()
    assert not light(lab)


def test_every_pulse_generator_is_tried() -> None:
    assert {name.rpartition(".")[2] for name in pulsers()} == set(PULSERS)


@pytest.mark.parametrize("pulser", pulsers(), ids=lambda name: name.rpartition(".")[2])
def test_a_pulse_generator_that_ran_makes_no_pulses_by_itself_after_a_power_cycle(
    alone: Callable[..., Lab], pulser: str
) -> None:
    settings_text, signal, runs = PULSERS[pulser.rpartition(".")[2]]
    lab = alone(pulser, settings=settings_text)
    device, mount = lab.devices["it"], lab.mounts["it"]
    switch = attrgetter(signal)(device)
    assert not light(lab)  # connecting makes none
    switch.set(runs).wait(60)
    assert light(lab)  # so that darkness below means something
    mount.power_cycle(boot_s=2.0)
    assert not light(lab)
    with suppress(QlabError):
        device.trigger().wait(60)
    lab.clock.sleep(30.0)
    device.trigger().wait(60)
    assert not light(lab)  # reconnected, and its settings are back
    device.stage()
    assert not light(lab)
    device.unstage()
    switch.set(runs).wait(60)  # a person asks for it
    assert light(lab)
    mount.faults.arm(WireFault("drop"))
    with suppress(QlabError):
        device.trigger().wait(60)
    mount.faults.clear()
    device.trigger().wait(60)
    assert light(lab)  # a wire that was lost changes nothing at the instrument
