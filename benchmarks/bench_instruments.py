"""Twins against a bare echo, a lab of 60 instruments, and tag streams in paced time.

    python benchmarks/bench_instruments.py

Round trip: what a driver calls, `Link.query`, asks the same bytes of a twin behind a mount, and of an echo in a
thread of this process on the same kind of wire; they take turns, figures are medians over the rounds with quartiles.
Lab: `qlab doctor` of a lab with 60 instruments of every class that there is, from reading the file to the verdict.
Streams: taggers with detectors that click by themselves, in paced time (lab seconds are wall seconds); every click of
the world between an input's first and last tag must be among its tags.
"""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import statistics
import sys
import tempfile
import threading
import tty
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import zmq

from qlab.clock import RealClock
from qlab.lab.build import open_lab
from qlab.lab.classes import find_device_class, known_devices
from qlab.lab.doctor import doctor
from qlab.links.factory import open_link
from qlab.twin.host import TwinHost
from qlab.twin.scpi import ScpiTwin, query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ROUNDS, QUERIES = 15, 300
QUESTION, ANSWER = b"READ?\n", b"1.500\n"
INSTRUMENTS = 60
STREAM_S = 4.0
MARGIN_PS = 10**12
"""How far the driver's idea of the acquisition's beginning may be off in paced time."""
SLACK_PS = 4000
"""More than resolution and skew, less than the detectors' dead time: no other click is as near."""


class MeterTwin(ScpiTwin):
    """Answers one number at once."""

    @query("READ?")
    def reading(self) -> str:
        """Answer."""
        return "1.500"


class FrameTwin(MeterTwin):
    """The same in ZeroMQ frames."""

    wire = "zmq"


@contextlib.contextmanager
def tcp_echo() -> Iterator[str]:
    """Serve one client, answering as many bytes as came."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                while data := connection.recv(4096):
                    connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET"
        thread.join(5)


@contextlib.contextmanager
def pty_echo() -> Iterator[str]:
    """Answer on a pseudo-terminal until the other end says nothing any more."""
    master, slave = pty.openpty()
    tty.setraw(slave)

    def serve() -> None:
        while (data := os.read(master, 4096)) != b"END\n":
            os.write(master, data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield os.ttyname(slave)
    os.write(slave, b"END\n")
    thread.join(5)
    os.close(master)
    os.close(slave)


@contextlib.contextmanager
def zmq_echo() -> Iterator[str]:
    """Answer frames until one says END."""
    with zmq.Context() as context, context.socket(zmq.REP) as server:
        port = server.bind_to_random_port("tcp://127.0.0.1")

        def serve() -> None:
            while True:
                data = server.recv()
                server.send(data)
                if data == b"END":
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{port}"
        with context.socket(zmq.REQ) as last:
            last.connect(f"tcp://127.0.0.1:{port}")
            last.send(b"END")
            last.recv()
        thread.join(5)


@contextlib.contextmanager
def asker(kind: str, address: str, clock: RealClock) -> Iterator[Callable[[], object]]:
    """Give what drivers use: a link."""
    with open_link(address, name="it", clock=clock) as link:
        question = QUESTION.strip() if kind == "ZeroMQ" else QUESTION  # a frame needs no end
        yield lambda: link.query(question)


def round_trips() -> None:
    """Compare twin and echo on each kind of wire."""
    print(f"{'round trip':12s}{'echo us':>10s}{'twin us':>10s}{'ratio':>8s}{'quartiles':>16s}")
    with contextlib.ExitStack() as stack:
        clock = stack.enter_context(RealClock())
        host = stack.enter_context(TwinHost(clock))
        twins = {
            "TCP": host.mount_tcp(MeterTwin(clock)).address,
            "pty": host.mount_pty(MeterTwin(clock)).address,
            "ZeroMQ": host.mount_zmq(FrameTwin(clock)).address,
        }
        echoes = {"TCP": tcp_echo, "pty": pty_echo, "ZeroMQ": zmq_echo}
        for kind, address in twins.items():
            with echoes[kind]() as other, asker(kind, address, clock) as twin, asker(kind, other, clock) as echo:
                spent: dict[str, list[float]] = {"echo": [], "twin": []}
                for turn in range(ROUNDS + 1):
                    for name, ask in (("echo", echo), ("twin", twin)):
                        begin = perf_counter()
                        for _ in range(QUERIES):
                            ask()
                        if turn:  # the first one warms
                            spent[name].append((perf_counter() - begin) / QUERIES * 1e6)
            ratios = [b / a for a, b in zip(spent["echo"], spent["twin"], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            medians = [statistics.median(spent[name]) for name in ("echo", "twin")]
            print(f"{kind:12s}{medians[0]:10.1f}{medians[1]:10.1f}{middle:8.2f}{f'{low:.2f} to {high:.2f}':>16s}")


def sixty_instruments(folder: Path) -> None:
    """Time the doctor on a lab of many instruments."""
    classes = [name for name in known_devices() if name.startswith("devices.")]
    lines = []
    for i, name in enumerate(islice(cycle(classes), INSTRUMENTS)):
        shared = getattr(find_device_class(name), "multidrop", False)
        where = f'address: "twin:bus", unit: "{i // len(classes):X}"' if shared else "address: twin"
        lines.append(f"  i{i}: {{class: {name}, {where}}}\n")
    path = folder / "sixty.yaml"
    path.write_text(f"qlab: 1\nname: sixty\ninstruments:\n{''.join(lines)}")
    times = []
    for _ in range(5):
        begin = perf_counter()
        report = doctor(str(path))
        times.append(perf_counter() - begin)
        wrong = [line for line in report.lines if "WRONG" in line and "no cable" not in line and "no path" not in line]
    low, middle, high = statistics.quantiles(times, n=4)
    kinds = f"{len(classes)} classes, {len(wrong)} not well"
    print(f"\n{INSTRUMENTS} instruments ({kinds}): {middle:.2f} s for qlab doctor, quartiles {low:.2f} to {high:.2f}")
    for line in wrong:
        print(line)


STREAM = """
qlab: 1
name: stream
seed: 1
clock: {{mode: paced}}
world: {{engine: {engine}}}
instruments:
{spads}  tagger: {{class: devices.taggers.{tagger}, address: twin, twin: {{max_rate_hz: 1.0e8}}}}
cables:
{cables}"""


def missing(tags: NDArray[np.int64], clicks: NDArray[np.int64]) -> int:
    """Count clicks between an input's first and last tag that have no tag; the tags' epoch is the instrument's own."""
    steps, pattern = np.diff(clicks), np.diff(tags[:9])
    starts = np.arange(steps.size - pattern.size)
    for offset, step in enumerate(pattern):
        starts = starts[np.abs(steps[starts + offset] - step) < SLACK_PS]
    begin, since = int(starts[0]), tags - tags[0]
    inside = clicks[begin:] - clicks[begin]
    inside = inside[: int(np.searchsorted(inside, since[-1] + SLACK_PS))]
    nearest = np.clip(np.searchsorted(since, inside - SLACK_PS), 0, since.size - 1)
    return int(np.count_nonzero(np.abs(since[nearest] - inside) > SLACK_PS))


def streams(folder: Path) -> None:
    """Take tags in paced time and compare them with what the world clicked."""
    print(f"\n{'stream, paced':12s}{'Mtags/s':>16s}{'taken in s':>12s}{'lost':>8s}")
    for label, tagger, rate_hz, inputs in (
        ("TDC1", "sfifteen_tdc1.TDC1", 1.0e6, 4),
        ("ID900", "idquantique_id900.ID900", 4.0e6, 4),
    ):
        twin = f"{{dark_rate_hz: {rate_hz / inputs}, dead_time_ns: 10, afterpulse_probability: 0.0}}"
        spad = f"{{class: devices.detectors.sfifteen_spd.SPD, address: twin, twin: {twin}}}"
        text = STREAM.format(
            engine="numpy",
            spads="".join(f"  d{n}: {spad}\n" for n in range(1, inputs + 1)),
            cables="".join(f"  - {{from: d{n}, to: tagger.{n}}}\n" for n in range(1, inputs + 1)),
            tagger=tagger,
        )
        path = folder / "stream.yaml"
        path.write_text(text)
        with open_lab(str(path), data_dir=folder, connect=False) as lab:
            device = lab.devices["tagger"]
            device.connect()
            device.acquisition_s.put(STREAM_S)
            begin = perf_counter()
            device.trigger().wait(300)
            took = perf_counter() - begin
            block = device.last_block
            lost = 0
            for n in range(1, inputs + 1):
                tags = block.t[block.ch == n - 1]
                number = lab.bench.detector_id(f"d{n}")
                clicks = lab.bench.world.clicks(number, block.start_ps - MARGIN_PS, block.stop_ps + MARGIN_PS)
                lost += missing(tags, clicks)
            rate = block.n / STREAM_S / 1e6
            lowest = np.bincount(block.ch, minlength=inputs).min()
            print(f"{label:12s}{rate:16.2f}{took:12.2f}{lost:8d}   gaps {len(block.gaps)}, least on an input {lowest}")


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        round_trips()
        sixty_instruments(Path(name))
        streams(Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
