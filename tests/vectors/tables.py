# SPDX-License-Identifier: MIT
"""The tables of attacks in the documents, made from the catalogues.

    python -m tests.vectors.tables

writes them into docs/fit.md and docs/attacks.md, between `<!-- NAME -->` and `<!-- end NAME -->`. A
test compares.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.vectors.fit_attacks import CATALOGUE

from bootseal.boot.catalogue.scenarios import SCENARIOS
from bootseal.boot.machine.events import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.boot.catalogue.fit_attacks import FitAttack
    from bootseal.boot.scenario.model import Scenario, Step

_DOCS: Final = Path(__file__).parents[2] / "docs"
DOCUMENTS: Final = (_DOCS / "fit.md", _DOCS / "attacks.md")
_STRICT: Final = {"malformed": "format error", "": "accepted: harmless"}
_POWER_CUT: Final = re.compile(r"power-cut-\d+")
# Who is the first to refuse when the console shows this.
_REFUSED_BY: Final = {
    "gate-refused": "FIT gate",
    "bad-hint": "FIT gate: key name hint",
    "bad-hash": "U-Boot: image hash",
    "no-signature": "U-Boot: no signature",
    "bad-signature": "U-Boot: signature",
    "boot-refused": "the layer's `bootm`",
    "bus-error": "U-Boot: bus error",
    "state-default": "U-Boot: checksum",
    "verity-corruption": "dm-verity",
    "rollback-refused": "initramfs: rollback index",
}


def fit_attacks() -> str:
    """Return the table of attacks on a FIT."""
    head = "| id | what is changed | fixed U-Boot | strict | booted in |\n|---|---|---|---|---|\n"
    return head + "".join(map(_fit_row, CATALOGUE))


def scenarios(group: str) -> str:
    """Return the table of a group of scenarios, and what there is to say about each."""
    rows = {_name(s): s for s in reversed(SCENARIOS) if s.group == group}
    chosen = dict(reversed(rows.items()))
    head = "| scenario | what is done | who refuses, and the end |\n|---|---|---|\n"
    table = "".join(f"| `{name}` | {_title(s)} | {_end(s)} |\n" for name, s in chosen.items())
    return head + table + "\n" + "".join(_note(name, s) for name, s in chosen.items())


def fill(text: str) -> str:
    """Return a document with its tables made anew."""
    for name, table in _tables():
        begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Write the tables."""
    for path in DOCUMENTS:
        path.write_text(fill(path.read_text()))


def _tables() -> Iterator[tuple[str, str]]:
    yield "fit attacks", fit_attacks()
    for group in dict.fromkeys(scenario.group for scenario in SCENARIOS):
        yield f"scenarios: {group}", scenarios(group)


def _fit_row(attack: FitAttack) -> str:
    strict = _STRICT.get(attack.strict, f"`fit.{attack.strict}`")
    uboot = "boots" if attack.uboot else "refuses"
    scenario = f"`{attack.boot.id}`" if attack.boot else ""
    return f"| {attack.id} | {attack.title} | {uboot} | {strict} | {scenario} |\n"


def _note(name: str, scenario: Scenario) -> str:
    text = f"- `{name}`: {scenario.about}"
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _name(scenario: Scenario) -> str:
    return _POWER_CUT.sub("power-cut-NN", scenario.id)


def _title(scenario: Scenario) -> str:
    if _POWER_CUT.fullmatch(scenario.id):
        return "Power cut at ten random moments of the first boot; the seed is in every title"
    return scenario.title


def _end(scenario: Scenario) -> str:
    return "; then ".join(map(_step_end, scenario.steps))


def _step_end(step: Step) -> str:
    expect = step.expect
    seen = [name.partition(":")[0] for name in expect.console]
    refused = next((f"{_REFUSED_BY[name]}; " for name in seen if name in _REFUSED_BY), "")
    match expect.ending:
        case Ending.POWERED_OFF:
            return f"{refused}power-off"
        case Ending.CONSOLE:
            return f"{refused}reset"
        case Ending.UP:
            closed = ", data stays closed" if "data.closed" in expect.status.findings else ""
            again = " again" if seen.count("root-verified") > 1 else ""
            return f"{refused}slot {expect.status.slot} starts{again}{closed}"
        case _:
            return str(expect.ending)


if __name__ == "__main__":
    main()
