# SPDX-License-Identifier: MIT
"""The result of the boot benchmark as a table and as a drawing, in docs/boot-time.md and .svg.

The drawing is made of the table: tests/unit/test_docs.py compares them.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/boot-time.md"
DRAWING: Final = ROOT / "docs/boot-time.svg"
_BEGIN: Final = "<!-- python -m tests.benchmarks boot: begin -->\n"
_END: Final = "<!-- python -m tests.benchmarks boot: end -->\n"


class Stage(NamedTuple):
    """A stretch of the boot between two marks."""

    title: str
    start: str
    end: str


STAGES: Final = (
    Stage("boot ROM, BL2 and BL31", "power-on", "u-boot"),
    Stage("U-Boot starts, slot chosen", "u-boot", "fit"),
    Stage("FIT read, verified, measured", "fit", "kernel"),
    Stage("kernel, initramfs, root mounted", "kernel", "root"),
    Stage("system from the root", "root", "data"),
    Stage("data opened by the TPM", "data", "closing"),
    Stage("TPM closed", "closing", "closed"),
    Stage("data mounted, slot good", "closed", "good"),
)

_STYLE: Final = """
  svg { font: 13px system-ui, "DejaVu Sans", sans-serif; }
  .paper { fill: #ffffff; } .name { fill: #2b333b; } .number { fill: #5b6670; font-size: 12px; }
  .plain { fill: #b4bfca; } .protected { fill: #2f6f9f; } .all { font-weight: bold; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #14181c; } .name { fill: #d5dbe1; } .number { fill: #98a4b0; }
    .plain { fill: #56626e; } .protected { fill: #6fb1e3; }
  }
"""
_WIDTH, _LEFT, _ROW, _BAR, _TOP = 920, 250, 44, 14, 62
_ROOM: Final = 80
"""For the number behind the longest bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Seconds that each stage took, without protection and with it; medians over some rounds."""

    plain: tuple[float, ...]
    protected: tuple[float, ...]
    rounds: int

    @property
    def longer(self) -> float:
        """How much longer the protected device takes than the other one, in per cent."""
        return 100 * (sum(self.protected) / sum(self.plain) - 1)

    @property
    def share(self) -> float:
        """How much of the time from power-on to good protection takes, in per cent."""
        whole = sum(self.protected)
        return 100 * (whole - sum(self.plain)) / whole


def table(result: Result) -> str:
    """Return the table in Markdown, and what follows from it."""
    lines = ["| stage | plain, s | protected, s | difference, s |", "|---|---|---|---|"]
    names = [stage.title for stage in STAGES]
    rows = list(zip(names, result.plain, result.protected, strict=True))
    rows.append(("from power-on to good", sum(result.plain), sum(result.protected)))
    lines += [f"| {name} | {a:.2f} | {b:.2f} | {b - a:+.2f} |" for name, a, b in rows]
    said = f"Rounds: {result.rounds}"
    said += ", which is a first look only" if result.rounds == 1 else ", and these are the medians"
    said += f". The protected device takes {result.longer:.0f} % longer; protection is"
    said += f"\n{result.share:.0f} % of its time from power-on to good."
    return "\n".join(lines) + f"\n\n{said}\n"


def read(page: str) -> Result:
    """Return the result that the page holds."""
    text = page.partition(_BEGIN)[2].partition(_END)[0]
    rows = re.findall(r"^\| [^|]+ \| ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE)[:-1]
    counted = re.search(r"^Rounds: (\d+)", text, re.MULTILINE)
    assert counted is not None
    return Result(
        plain=tuple(float(row[0]) for row in rows),
        protected=tuple(float(row[1]) for row in rows),
        rounds=int(counted[1]),
    )


def write(result: Result) -> None:
    """Put the table into the page, and draw it."""
    page = PAGE.read_text()
    before, after = page.partition(_BEGIN)[0], page.partition(_END)[2]
    PAGE.write_text(before + _BEGIN + table(result) + _END + after)
    DRAWING.write_text(draw(result))


def draw(result: Result) -> str:
    """Return the drawing."""
    rows = [(s.title, a, b) for s, a, b in zip(STAGES, result.plain, result.protected, strict=True)]
    rows.append(("from power-on to good", sum(result.plain), sum(result.protected)))
    scale = (_WIDTH - _LEFT - _ROOM) / max(1.0, *(max(row[1:]) for row in rows))
    height = _TOP + _ROW * len(rows) + 12
    title = "What protection costs when the reference device starts, in seconds"
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        '<rect class="plain" x="24" y="20" width="14" height="14"/>',
        '<text class="name" x="46" y="32">without any protection</text>',
        '<rect class="protected" x="230" y="20" width="14" height="14"/>',
        '<text class="name" x="252" y="32">protected</text>',
    ]
    for number, (name, *values) in enumerate(rows):
        top = _TOP + number * _ROW
        style = "name all" if number == len(STAGES) else "name"
        label = f'<text class="{style}" x="24" y="{top + 19}">{html.escape(name)}</text>'
        lines.append(label)
        for offset, (kind, value) in enumerate(zip(("plain", "protected"), values, strict=True)):
            place, width = top + offset * (_BAR + 2), max(value, 0.0) * scale
            at = f'x="{_LEFT}" y="{place}" width="{width:.1f}" height="{_BAR}"'
            lines.append(f'<rect class="{kind}" {at}/>')
            at = f'x="{_LEFT + width + 6:.1f}" y="{place + 12}"'
            lines.append(f'<text class="number" {at}>{value:.2f}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
