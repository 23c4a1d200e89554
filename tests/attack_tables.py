# SPDX-License-Identifier: MIT
"""The tables of attacks in docs/, made from the catalogues.

A table is between `<!-- attacks: fit -->` and `<!-- end of attacks -->`, or between
`<!-- scenarios: GROUP -->` and `<!-- end of scenarios -->`. After a change of the catalogues:

    python -m tests.attack_tables
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
    from bootseal.boot.catalogue.fit_attacks import FitAttack
    from bootseal.boot.scenario.model import Scenario, Step

_DOCS: Final = Path(__file__).parents[1] / "docs"
DOCUMENTS: Final = (_DOCS / "fit.md", _DOCS / "attacks.md")
_STRICT: Final = {"malformed": "format error", "": "accepted: harmless"}
_MARKED: Final = re.compile(
    r"(?P<begin><!-- (?P<kind>attacks|scenarios): (?P<name>[a-z]+) -->\n).*?"
    r"(?P<end><!-- end of (?P=kind) -->)",
    re.DOTALL,
)
_POWER_CUT: Final = re.compile(r"power-cut-\d+")
_KERNEL: Final = "kernel-handover"
# Who is the first to refuse when the console shows this.
_REFUSED_BY: Final = {
    "bank-malformed": "boot ROM: not one FIP",
    "bl2-refused": "boot ROM: BL2",
    "image-refused": "BL2",
    "tpm-failed": "boot ROM: TPM",
    "no-boot-loader": "boot ROM",
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


def generated(text: str) -> str:
    """Return a page with its tables as the catalogues have them."""

    def table(found: re.Match[str]) -> str:
        made = fit_attacks() if found["kind"] == "attacks" else scenarios(found["name"])
        return f"{found['begin']}{made}{found['end']}"

    return _MARKED.sub(table, text)


def main() -> None:
    """Write the tables of every page."""
    for page in DOCUMENTS:
        page.write_text(generated(page.read_text()))


def _fit_row(attack: FitAttack) -> str:
    strict = _STRICT.get(attack.strict, f"`fit.{attack.strict}`")
    uboot = "boots" if attack.uboot else "refuses"
    scenario = f" `{attack.boot.id}` " if attack.boot else " "
    return f"| {attack.id} | {attack.title} | {uboot} | {strict} |{scenario}|\n"


def _note(name: str, scenario: Scenario) -> str:
    text = f"- `{name}`: {scenario.about}"
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _name(scenario: Scenario) -> str:
    return _POWER_CUT.sub("power-cut-NN", scenario.id)


def _title(scenario: Scenario) -> str:
    if _POWER_CUT.fullmatch(scenario.id):
        count = sum(_POWER_CUT.fullmatch(each.id) is not None for each in SCENARIOS)
        return f"Power cut at {count} random moments of the first boot; the seed is in every title"
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
            return f"{refused}{'the kernel starts' if step.until == _KERNEL else 'reset'}"
        case Ending.UP:
            closed = ", data stays closed" if "data.closed" in expect.status.findings else ""
            again = " again" if seen.count("root-verified") > 1 else ""
            return f"{refused}slot {expect.status.slot} starts{again}{closed}"
        case _:
            return str(expect.ending)


if __name__ == "__main__":
    main()
