"""What flows inside the ID900: inputs, delays, coincidence blocks and generators, named by their links.

All times are lab time in ps. Everything is computed from the tags on demand, for any interval, and never
depends on how often it was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim_devices.taggers.id900_blocks import (
    COUNT_PAIRS,
    COUNT_TRIPLES,
    INPUT_NAMES,
    LOWRES_PS,
    START_THRESHOLD_V,
    TOO_FAST,
    TSCO_COUNT,
    UNWIRED,
    DelayBlock,
    Gate,
    InputBlock,
    RawBlock,
    TscoBlock,
)
from sim_devices.taggers.id900_grammar import PARAMETER_TYPE, ID900Error
from sim_devices.taggers.id900_logic import COINCIDENCE_PS, NOTHING, combine, inside
from sim_devices.taggers.id900_players import Player

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qlab.tags.stream import TagBlock, TagFeed

__all__ = ["Signals"]

WINDOW_MEMORY_PS: Final = 1_000_000_000  # [INF] how long an open TSCO window is remembered
GAPS_KEPT: Final = 1 << 16
DEEPEST_LINK: Final = 8  # a ring of links ends here

Times = "NDArray[np.int64]"


class Signals:
    """The blocks that make or pass events, and the events on any link in any interval."""

    def __init__(self, feed: TagFeed, now_ps: int, pulse_height_v: float, *, needs_send: bool = False) -> None:
        self._feed = feed
        self._pulse_height_v = pulse_height_v
        self._needs_send = needs_send
        self._blocks: dict[tuple[int, int], TagBlock] = {}
        self._lost: dict[int, int] = {}
        self._lost_until_ps = 0
        self.resolution_ps = LOWRES_PS
        self.hires_errors: dict[str, int] = {}
        self.players = {name: Player() for name in ["REC", *(f"GEN{n}" for n in range(1, 9))]}
        self.load_defaults(now_ps)

    def load_defaults(self, now_ps: int) -> None:
        """Set up all blocks as after power-on; what was recorded so far stays to be downloaded."""
        self.inputs = {name: InputBlock(Gate([now_ps], [True])) for name in INPUT_NAMES}
        self.inputs["STAR"].enabled = False
        self.inputs["STAR"].threshold_v = START_THRESHOLD_V
        self.delays = {f"DELA{n}": DelayBlock(f"INPU{n}" if n <= 4 else "NONE") for n in range(1, 9)}
        self.tscos = {f"TSCO{n}": TscoBlock(f"INPU{n}" if n <= 4 else "NONE") for n in range(1, TSCO_COUNT + 1)}
        for n in range(1, 5):
            self.tscos[f"TSCO{n + 4}"].first = f"DELA{n}"  # [V2] TSCO5-8 follow DELA1-4
        self.raws = {
            n: RawBlock(f"INPU{n}", Gate([now_ps], [not self._needs_send]), self._needs_send) for n in range(1, 5)
        }
        for name, player in self.players.items():
            player.stop(now_ps)
            self.players[name] = Player(plays=player.plays)
        self.refresh_gates(now_ps)

    def load_blank(self, now_ps: int) -> None:
        """Set up all blocks with nothing connected to them."""
        self.load_defaults(now_ps)
        for n in range(1, 9):
            self.delays[f"DELA{n}"].link = "NONE"
        for tsco in self.tscos.values():
            tsco.first = "NONE"
        for raw in self.raws.values():
            raw.stop = "NONE"

    def refresh_gates(self, now_ps: int) -> None:
        """Let each input pass pulses, or not, from now on: it must be enabled and its threshold below the pulses."""
        for block in self.inputs.values():
            block.gate.set(block.enabled and block.threshold_v < self._pulse_height_v, now_ps)

    def load_count_preset(self) -> None:
        """Set up the coincidences of the COUNT preset [V1]."""
        for block, (a, b) in COUNT_PAIRS.items():
            self.tscos[f"TSCO{block}"] = TscoBlock(f"INPU{a}", f"INPU{b}", inside="AND")
        for block, (pair, n) in COUNT_TRIPLES.items():
            self.tscos[f"TSCO{block}"] = TscoBlock(f"TSCO{pair}", f"INPU{n}", inside="AND")

    def link(self, text: str) -> str:
        """Read the name of a block; `ID900Error` where there is none."""
        name = text.strip().upper().replace("INPUT", "INPU").replace("DELAY", "DELA").replace("START", "STAR")
        blocks = (self.inputs, self.delays, self.tscos, self.players, UNWIRED)
        if not any(name in each for each in blocks):
            raise ID900Error(PARAMETER_TYPE)
        return name

    def lost_since(self, t_ps: int) -> int:
        """Return how many tags did not reach the host since then, as far as anybody looked."""
        return sum(missed for start_ps, missed in self._lost.items() if start_ps >= t_ps)

    def events(self, link: str, start_ps: int, stop_ps: int, depth: int = 0) -> NDArray[np.int64]:
        """Return the times of the events on a link in [start, stop), sorted."""
        if depth > DEEPEST_LINK or stop_ps <= start_ps:
            return NOTHING
        if link in self.inputs:
            return self._input_events(link, start_ps, stop_ps)
        if link in self.delays:
            delay = self.delays[link]
            shift = delay.value_ps
            return self.events(delay.link, start_ps - shift, stop_ps - shift, depth + 1) + shift
        if link in self.tscos:
            return self._tsco_events(self.tscos[link], start_ps, stop_ps, depth + 1)
        if link in self.players:
            return self.players[link].starts(start_ps, stop_ps)
        return NOTHING

    def _input_events(self, name: str, start_ps: int, stop_ps: int) -> NDArray[np.int64]:
        block = self.inputs[name]
        tags = self._read(start_ps - block.delay_ps, stop_ps - block.delay_ps)
        t = np.asarray(tags.t[tags.ch == INPUT_NAMES.index(name)], np.int64)
        return block.gate.passing(t) // self.resolution_ps * self.resolution_ps + block.delay_ps

    def _read(self, start_ps: int, stop_ps: int) -> TagBlock:
        """Read the feed once for the several blocks that look at the same interval."""
        key = (max(0, start_ps), max(0, stop_ps))
        if key not in self._blocks:
            while len(self._blocks) >= 8:
                self._blocks.pop(next(iter(self._blocks)))
            block = self._blocks[key] = self._feed.read(*key)
            for gap in block.gaps:
                if not gap.missed:  # blind, as before a recording begins, but not flooded
                    continue
                if gap.start_ps >= self._lost_until_ps:  # or another input's delay has shown us this stretch before
                    self._lost[gap.start_ps] = gap.missed
                    self._lost_until_ps = gap.stop_ps
                if len(self._lost) > GAPS_KEPT:
                    del self._lost[next(iter(self._lost))]
                for name in INPUT_NAMES[:4]:
                    if self.inputs[name].enabled:
                        self.hires_errors.setdefault(name, TOO_FAST)
        return self._blocks[key]

    def _tsco_events(self, tsco: TscoBlock, start_ps: int, stop_ps: int, depth: int) -> NDArray[np.int64]:
        early_ps = start_ps - COINCIDENCE_PS
        first = self.events(tsco.first, early_ps, stop_ps, depth)
        second = self.events(tsco.second, early_ps, stop_ps, depth)
        if tsco.window:
            begins, ends = (
                self.events(edge.link, early_ps - WINDOW_MEMORY_PS - edge.delay_ps, stop_ps - edge.delay_ps, depth)
                + edge.delay_ps
                for edge in (tsco.begin, tsco.end)
            )
            first_in, second_in = inside(first, begins, ends), inside(second, begins, ends)
            out = np.union1d(
                combine(tsco.inside, first[first_in], second[second_in]),
                combine(tsco.outside, first[~first_in], second[~second_in]),
            )
        else:
            out = combine(tsco.inside, first, second)
        return out[np.searchsorted(out, start_ps) :]
