"""What a Lake Shore 336 does by itself with its loops: zones, which change the gains with the set point, and Autotune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlab.clock import PS_PER_S
from qlab.twin.scpi import command, integer, number, query
from sim_devices.cryogenics.lakeshore_inputs import INPUTS
from sim_devices.cryogenics.lakeshore_outputs import HeaterOutputs
from sim_devices.cryogenics.lakeshore_zone import ZONES, Zone

if TYPE_CHECKING:
    from qlab.clock import Clock

__all__ = ["LoopTuning"]

ZONE_MODE, CLOSED_LOOP = 2, 1
AUTOTUNE_S = 600.0  # [INF] how long the whole of Autotune takes
STAGES = 10  # [INF] which it counts in TUNEST?
TUNED_GAINS = {0: (200.0, 0.1, 0.0), 1: (200.0, 2.0, 0.0), 2: (200.0, 2.0, 2.0)}
"""[INF] What it finds for P, PI and PID: gains that hold the default cryostat."""
OUTPUT = integer(1, 4)
HEATED = integer(1, 2)
INITIAL_CONDITIONS = 1  # TUNEST?'s error flag: the loop was not ready


class LoopTuning(HeaterOutputs):
    """Zones and Autotune of the outputs."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._zones: dict[tuple[int, int], Zone] = {}
        self._tuning: tuple[int, int, int] | None = None  # output, mode, start in ps
        self._tuning_failed = 0  # the output

    @command(
        "ZONE",
        OUTPUT,
        integer(1, ZONES),
        number(0.0, 1000.0),
        number(0.1, 1000.0),
        number(0.1, 1000.0),
        number(0.0, 200.0),
        number(0.0, 100.0),
        integer(0, 3),
        integer(0, len(INPUTS)),
        number(0.0, 100.0),
    )
    def _zone(
        self,
        output: int,
        zone: int,
        upper_k: float,
        p: float,
        i: float,
        d: float,
        manual_percent: float,
        heater_range: int,
        source: int,
        rate: float,
    ) -> None:
        self._zones[output, zone] = Zone(upper_k, (p, i, d), manual_percent, heater_range, source, rate)
        self._drive()

    @query("ZONE?", OUTPUT, integer(1, ZONES))
    def _zone_query(self, output: int, zone: int) -> str:
        z = self._zones.get((output, zone), Zone())
        gains = ",".join(f"{term:+07.1f}" for term in z.pid)
        return f"{z.upper_k:+.4f},{gains},{z.manual_percent:+08.3f},{z.range},{z.input},{z.rate_k_per_min:+06.1f}"

    @command("ATUNE", HEATED, integer(0, 2))
    def _autotune(self, output: int, mode: int) -> None:
        """Begin to tune a loop that regulates; any other fails at once, which `TUNEST?` tells."""
        loop = self.loops[output - 1]
        ready = loop.mode == CLOSED_LOOP and loop.range and loop.input
        self._tuning = (output, mode, self.clock.now_ps()) if ready else None
        self._tuning_failed = 0 if ready else output

    @query("TUNEST?")
    def _tuning_status(self) -> str:
        """Tell whether it tunes, which output, whether it failed, and the stage."""
        if self._tuning is None:
            return f"0,{self._tuning_failed},{INITIAL_CONDITIONS},00" if self._tuning_failed else "0,0,0,00"
        output, _, start_ps = self._tuning
        stage = int((self.clock.now_ps() - start_ps) / PS_PER_S / AUTOTUNE_S * STAGES)
        return f"1,{output},0,{stage:02d}"

    @property
    def tuning(self) -> bool:
        """Whether Autotune is at work."""
        return self._tuning is not None

    def finish_tuning(self) -> None:
        """Set the gains that Autotune has found, when its time is over."""
        if self._tuning is None:
            return
        output, mode, start_ps = self._tuning
        if self.clock.now_ps() - start_ps >= AUTOTUNE_S * PS_PER_S:
            self.loops[output - 1].pid = TUNED_GAINS[mode]
            self._tuning = None
            self._drive()

    def use_zones(self) -> None:
        """Give each loop in zone mode what its zone says: the first one whose upper bound is not below the set point."""
        for output, loop in enumerate(self.loops, start=1):
            zones = [self._zones.get((output, zone), Zone()) for zone in range(1, ZONES + 1)]
            found = next((zone for zone in zones if loop.mode == ZONE_MODE and zone.upper_k >= loop.now_k), None)
            if found is not None:
                loop.pid, loop.manual_percent = found.pid, found.manual_percent
                loop.range = found.range if loop.range else 0
                loop.input = found.input or loop.input
