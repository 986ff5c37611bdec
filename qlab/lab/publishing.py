"""`qlab metrics`, and `--metrics` of a run: a lab's clocks and health on a loopback port, for Prometheus to scrape."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qlab import roles
from qlab.clock import PacedClock
from qlab.errors import BadRequestError, QlabError
from qlab.lab.build import open_lab
from qlab.lab.load import load_lab
from qlab.lab.serving import until_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qlab.lab.build import Lab

__all__ = ["poll_clocks", "publish_clocks", "serve_metrics"]

LOOPBACK = "127.0.0.1"


def publish_clocks(
    name: str,
    overrides: Sequence[str] = (),
    *,
    port: int = 0,
    every_s: float = 10.0,
    say: Callable[[str], None] = print,
) -> None:
    """Ask a lab's clocks again and again, and publish what they say until Ctrl-C or SIGTERM.

    What photon pairs tell is not asked for, as it needs acquisitions: a run publishes it with `--metrics`.  A lab in stepped
    time goes at the wall's pace.

    Parameters
    ----------
    name, overrides:
        The lab.
    port:
        On loopback; 0 takes any free one.
    every_s:
        Wall seconds from one question to the next.
    say:
        Takes what a person reads.
    """
    if not every_s > 0:
        msg = f"--every {every_s:g}: expected a positive number of seconds"
        raise BadRequestError(msg)
    stepped = load_lab(name, overrides).lab.clock.mode == "stepped"
    with (
        until_ended() as ended,
        open_lab(name, overrides=overrides, clock=PacedClock(1.0) if stepped else None) as lab,
        serve_metrics(lab, port) as address,
    ):
        poll_clocks(lab)
        say(f"metrics: {address}; Ctrl-C ends it")
        while not ended.wait(every_s):
            poll_clocks(lab)


@contextmanager
def serve_metrics(lab: Lab, port: int = 0) -> Iterator[str]:
    """Publish a lab on loopback until the block ends; gives the address.

    Parameters
    ----------
    lab:
        An open lab.
    port:
        0 takes any free one.

    Raises
    ------
    BadRequestError
        The port cannot be had, or prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server

        from qlab.lab.metrics import LabCollector
    except ImportError as error:
        msg = "metrics need the package prometheus-client: pip install 'qlab[metrics]'"
        raise BadRequestError(msg) from error
    registry = CollectorRegistry()
    registry.register(LabCollector(lab))
    try:
        server, thread = start_http_server(port, LOOPBACK, registry)
    except (OSError, OverflowError) as error:
        msg = f"metrics: port {port} cannot be had: {error}; name another one, or 0 for any that is free"
        raise BadRequestError(msg) from error
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def poll_clocks(lab: Lab) -> None:
    """Let every clock fetch its lock and offset; what is wrong with one is said by its health."""
    clocks: list[Any] = [device for device in lab.devices.values() if isinstance(device, roles.Clock)]
    for status in [clock.trigger() for clock in clocks]:
        try:
            status.wait()
        except QlabError:
            continue  # the device has told its health
