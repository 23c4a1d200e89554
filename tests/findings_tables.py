# SPDX-License-Identifier: MIT
"""The tables of findings in docs/, made from the catalogue.

A table is between `<!-- findings: NAME -->` and `<!-- end of findings -->`. After a change of
`tools/bootseal/findings/catalogue.md`:

    python -m tests.findings_tables
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import TABLES

if TYPE_CHECKING:
    from bootseal.findings.model import Rule

DOCS: Final = Path(__file__).parents[1] / "docs"
MARKED: Final = re.compile(
    r"(<!-- findings: (?P<name>[a-z-]+) -->\n).*?(<!-- end of findings -->)", re.DOTALL
)


def table(rules: list[Rule]) -> str:
    """Write rows of the catalogue as a Markdown table."""
    rows = [f"| `{r.id}` | {r.severity} | {r.meaning} | {r.remedy} |" for r in rules]
    head = ["| id | severity | meaning | remedy |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]).replace("|  |", "| |") + "\n"


def generated(text: str) -> str:
    """Return a page with its tables as the catalogue has them."""
    return MARKED.sub(lambda found: f"{found[1]}{table(TABLES[found['name']])}{found[3]}", text)


def main() -> None:
    """Write the tables of every page."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        if text != generated(text):
            page.write_text(generated(text))
            print(f"wrote {page}")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
