"""The page of what is proven, counted from the ledgers: `python -m tests.facts.page` writes docs/verified-facts.md."""

from __future__ import annotations

from tests.facts.ledger import FOLDER, MARKS, ROOT, ledgers, read_ledger, read_left_out

__all__ = ["PAGE", "SHEETS", "page"]

PAGE = ROOT / "docs" / "verified-facts.md"
SHEETS = {
    "00_index_and_conventions": "all with IEEE 488.2",
    "01_sfifteen_epps": "S-Fifteen EPPS",
    "02_srs_ldc501": "SRS LDC501",
    "03_thorlabs_cld1015": "Thorlabs CLD1015",
    "04_thorlabs_tc200": "Thorlabs TC200",
    "05_toptica_dlcpro": "Toptica DLC pro",
    "06_srs_dg645": "SRS DG645",
    "07_srs_sim900_sim928_qoamp": "SRS SIM900, SIM928, Quantum Opus amplifier",
    "08_singlequantum_websq": "Single Quantum Atlas",
    "09_sfifteen_spd": "S-Fifteen SPD",
    "10_idq_id900": "ID Quantique ID900",
    "11_sfifteen_tdc1": "S-Fifteen TDC1",
    "12_thorlabs_apt": "Thorlabs K10CR1, KDC101, MPC320",
    "13_thorlabs_elliptec": "Thorlabs Elliptec",
    "14_ozoptics_epc_dd100": "OZ Optics EPC-400, DD-100-MC",
    "15_polatis_oxc": "Polatis OXC",
    "16_agiltron_ff": "Agiltron FF",
    "17_thorlabs_pm100d": "Thorlabs PM100D, PM103E",
    "18_lakeshore_336": "Lake Shore 336",
    "19_srs_fs740": "SRS FS740",
    "20_srs_prs10_fs725": "SRS PRS10, FS725",
    "21_white_rabbit": "White Rabbit node and switch",
    "22_qrm_repeater_module": "QRM repeater module",
    "23_reserve_awg_counter_laser_polarimeter": "Keysight 33500B, Pendulum CNT-91, Santec TSL-570, Thorlabs PAX1000",
}
INTRODUCTION = """\
# What is verified about the instruments

The drivers and twins were written from protocol sheets, and these from public manuals and drivers. A sheet marks each fact:
**V2** was seen in two independent sources or more, **V1** in one, **INF** is inferred. Sheet 22 is our own definition; its
facts are marked **design**. For every sheet `tests/facts/` has a ledger, with a row a fact: a command, a unit, a range,
a status bit, an error code, a rule of framing or timing. The row names the proof.

- A V2 or design fact names at least one test that fails if twin or driver has it wrong.
- A V1 or INF fact names a constant, which stands alone in the code, so that a lab that owns the instrument corrects it in one
  place; or a test.

`tests/facts/test_ledger.py` holds that every row has a proof and that every proof exists. The counts are those of
`python -m tests.facts.page`:

"""
LIMITS = """
What this proves: the code does what the sheets say, fact by fact, in bytes on a wire. What it cannot prove:

- that the sheets are right: a V2 fact is wrong if both of its sources are, and none of these tests ran on an instrument;
- that a sheet tells all that its instrument does;
- that a named test is a good one: the ledger checks that it exists, people read it when they wrote the row.

Left out, and why (`tests/facts/left_out.csv`):

{left_out}

Whether a fact holds on your instrument is told by [hardware in the loop](hardware-in-the-loop.md).
"""


def page() -> str:
    """Return the page's text."""
    rows = {path.stem: read_ledger(path) for path in ledgers()}
    head = "| sheet | instruments | " + " | ".join(MARKS) + " | tests | constants |"
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for sheet, instruments in SHEETS.items():
        facts = rows.get(sheet)
        if facts is None:
            continue
        marks = [sum(fact.mark == mark for fact in facts) for mark in MARKS]
        proofs = [len({t for f in facts for t in f.tests}), len({c for f in facts for c in f.constants})]
        where = f"[{sheet[:2]}](../{FOLDER.relative_to(ROOT)}/{sheet}.csv)"
        lines.append(f"| {where} | {instruments} | " + " | ".join(str(n) for n in [*marks, *proofs]) + " |")
    left_out = ["| sheet | fact | why |", "|---|---|---|"]
    left_out += [f"| {sheet} | {fact} | {why} |" for sheet, fact, why in read_left_out()]
    return INTRODUCTION + "\n".join(lines) + "\n" + LIMITS.format(left_out="\n".join(left_out))


if __name__ == "__main__":
    PAGE.write_text(page())
