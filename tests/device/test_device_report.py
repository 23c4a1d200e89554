# SPDX-License-Identifier: MIT
"""The report about the built device: its whole chain, drawn, and readable in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.report import browser as browsers

from bootseal.dossier.collect import Asked, collect
from bootseal.dossier.model import Standing
from bootseal.firmware.chain import Key
from bootseal.progress import Silent
from bootseal.report import release_html

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.device,
    pytest.mark.tool(browsers.PROGRAM),
    pytest.mark.timeout(900),
]


def test_chain_of_a_built_device_is_verified_and_readable(directory: Path, tmp_path: Path) -> None:
    found = collect(Asked(directory=directory, wanted=None), Silent())
    standings = {each.name: each.standing for each in found.stages}
    assert standings.pop("data") is Standing.ABSENT
    assert set(standings.values()) == {Standing.GOOD}
    assert standings.keys() >= {"rom", "fw-a", "fw-b", "u-boot", "fit-a", "root-b", "policy-a"}
    signed = {each.role.partition(" ")[0]: each for each in found.keys}
    assert signed.keys() == {*Key, "fit", "policy"}
    assert all(each.standing is Standing.GOOD and each.signed for each in found.keys)
    assert all(slot.pcrs.items() <= slot.found.items() for slot in found.slots)
    assert all("8" in slot.pcrs for slot in found.slots)
    page = tmp_path / "report.html"
    page.write_text(release_html.page(found))
    assert "<title>INCOMPLETE" in page.read_text()
    with browsers.started() as browser:
        for scheme in browsers.SCHEMES:
            for width in browsers.WIDTHS:
                seen = browsers.look(browser, page, width, scheme)
                assert (seen.said, seen.wide, seen.cut) == ([], [], [])
                assert (seen.scroll, seen.pictures) == (0, 1)
                assert seen.contrast >= 4.5
                (tmp_path / f"report-{scheme}-{width}.png").write_bytes(seen.picture)
