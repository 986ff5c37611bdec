"""What a lab publishes for Prometheus: names, values as the signals have them, and no thread or socket left behind."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qlab.cli import main
from qlab.errors import BadRequestError
from qlab.lab.build import open_lab
from qlab.lab.metrics import FAMILIES
from qlab.lab.publishing import poll_clocks, publish_clocks, serve_metrics

if TYPE_CHECKING:
    from pathlib import Path

Samples = dict[tuple[str, str], float]


def scrape(address: str) -> Samples:
    """Return values by family and by the clock or device that they are of."""
    with urllib.request.urlopen(address, timeout=10.0) as reply:
        assert reply.headers["Content-Type"].startswith("text/plain")
        text = reply.read().decode()
    return {
        (sample.name, sample.labels.get("clock", sample.labels.get("device", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_clocks_and_health_are_published_as_the_signals_have_them() -> None:
    with open_lab("timing") as lab:
        pair: Any = lab.devices["by_rabbit"]
        with serve_metrics(lab) as address:
            assert address.startswith("http://127.0.0.1:")
            poll_clocks(lab)
            before = scrape(address)
            # What photon pairs found, as a comparison leaves it.
            known = {"offset_ps": 1234.5, "sigma_ps": 6.0, "frequency": -3e-12, "lock": 1, "at_s": 7.5}
            for name, value in known.items():
                getattr(pair, name).remember(value)
            pair.health.report(["no pairs"])
            lab.twins["bob_gps"].device_fault("antenna_unplugged", active=True)
            poll_clocks(lab)
            after = scrape(address)
        offsets = {name: lab.devices[name].offset_s for name in ("alice_gps", "bob_gps", "rabbit")}
    assert before["qlab_clock_locked", "by_rabbit"] == 0.0
    assert ("qlab_clock_offset_seconds", "by_rabbit") not in before  # nobody knows it
    assert before["qlab_clock_locked", "bob_gps"] == before["qlab_device_healthy", "bob_gps"] == 1.0
    assert after["qlab_clock_locked", "by_rabbit"] == 1.0
    assert after["qlab_clock_offset_seconds", "by_rabbit"] == pytest.approx(1234.5e-12)
    assert after["qlab_clock_offset_uncertainty_seconds", "by_rabbit"] == pytest.approx(6e-12)
    assert after["qlab_clock_frequency_ratio", "by_rabbit"] == -3e-12
    assert after["qlab_clock_compared_seconds", "by_rabbit"] == 7.5
    assert after["qlab_device_healthy", "by_rabbit"] == 0.0
    assert after["qlab_clock_locked", "bob_gps"] == 0.0
    for name, offset_s in offsets.items():
        assert after["qlab_clock_offset_seconds", name] == pytest.approx(offset_s)
    assert {name for name, _ in after} <= set(FAMILIES)
    assert all(math.isfinite(value) for value in after.values())


def test_nodes_steering_and_what_a_clock_is_compared_with_are_labels() -> None:
    with open_lab("clocks") as lab, serve_metrics(lab) as address:
        lab.devices["bob_rubidium"].steer(-3e-10).wait()
        with urllib.request.urlopen(address, timeout=10.0) as reply:
            text = reply.read().decode()
    assert 'qlab_clock_locked{against="alice",clock="bob_clock",lab="clocks",node="bob"} 0.0' in text
    assert 'qlab_clock_steering_ratio{device="bob_rubidium",lab="clocks",node="bob"} -3' in text
    assert 'qlab_device_healthy{device="bob_clock",lab="clocks",node="bob"} 1.0' in text
    assert "qlab_clock_offset_seconds{" not in text  # a rubidium has no time of its own, and no pairs were compared


def test_a_port_that_is_taken_and_wrong_wishes_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, open_lab("clocks", connect=False) as lab:
        with pytest.raises(BadRequestError, match="name another one"), serve_metrics(lab, taken.getsockname()[1]):
            pass
        with pytest.raises(BadRequestError, match="port 70000"), serve_metrics(lab, 70_000):
            pass
    with pytest.raises(BadRequestError, match="--every 0"):
        publish_clocks("clocks", every_s=0.0)


def test_the_command_publishes_until_it_is_told_to_end() -> None:
    command = [sys.executable, "-m", "qlab.cli", "metrics", "timing", "--every", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("metrics: http://127.0.0.1:"), line
        found = scrape(line.split()[1].rstrip(";"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert found["qlab_clock_locked", "rabbit"] == 1.0


def test_a_run_publishes_meanwhile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--lab", "clocks", "--data-dir", str(tmp_path), "--catalogue", "none", "--metrics"]
    words = ["run", "synchronise_clocks", "source=none", "duration_s=1.5", "acquisition_s=1.5"]
    assert main([*words, *options]) == 0
    assert "metrics: http://127.0.0.1:" in capsys.readouterr().out
