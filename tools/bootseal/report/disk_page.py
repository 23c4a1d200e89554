# SPDX-License-Identifier: MIT
"""The verdict on a disk as one self-contained HTML page, and its map as a drawing of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jinja2

import bootseal
from bootseal.report.disk_document import SEVERITIES, STATES
from bootseal.report.disk_map import rows
from bootseal.units import format_size

if TYPE_CHECKING:
    from bootseal.report.disk_document import DiskVerdict

_ABOUT: Final = {
    "signed": "a signature leads to these bytes",
    "verity-covered": "checked by dm-verity against a signed root hash",
    "hashed only": "a hash that nothing signs",
    "consumed but unsigned": "read by the device, and nothing signs it",
    "unused": "read by nothing",
}


def page(verdict: DiskVerdict) -> str:
    """Return the whole report as one HTML document."""
    return _render(verdict, "disk.html")


def drawing(verdict: DiskVerdict) -> str:
    """Return the map as one SVG document."""
    return _render(verdict, "disk.svg")


def _render(verdict: DiskVerdict, template: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bootseal.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    ranked = sorted(verdict.findings, key=lambda each: SEVERITIES.index(each.severity))
    return environment.get_template(template).render(
        verdict=verdict,
        findings=ranked,
        counts={s: sum(f.severity == s for f in ranked) for s in SEVERITIES},
        rows=rows(verdict),
        states=[(state, verdict.total(state), _ABOUT[state]) for state in STATES],
        format_size=format_size,
        version=bootseal.__version__,
    )
