# SPDX-License-Identifier: MIT
"""The page about a release in a real browser: at a desk and on a telephone, by day and by night."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.integration.report import browser as browsers
from tests.unit.report import dossiers as samples

from bootseal.report import release_html

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.tool(browsers.PROGRAM), pytest.mark.timeout(300)]

PNG = b"\x89PNG\r\n\x1a\n"
# WCAG 2.2, 1.4.3, level AA.
CONTRAST = 4.5


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.started() as found:
        yield found


@pytest.fixture(scope="module", params=["plain", "hostile", "long"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = {"plain": "plain", "hostile": samples.EVIL, "long": "x" * 200}[request.param]
    path: Path = tmp_path_factory.mktemp("page") / f"{request.param}.html"
    path.write_text(release_html.page(samples.made_up(text)))
    return path


@pytest.mark.parametrize("width", browsers.WIDTHS)
@pytest.mark.parametrize("scheme", browsers.SCHEMES)
def test_page_is_readable(browser: Browser, page: Path, width: int, scheme: str) -> None:
    seen = browsers.look(browser, page, width, scheme)
    assert seen.said == []
    assert seen.scroll == 0
    assert seen.wide == []
    assert seen.cut == []
    assert seen.smallest >= 10
    assert seen.contrast >= CONTRAST
    assert seen.pictures == 1
    red, green, blue = map(int, re.findall(r"\d+", seen.ground))
    assert (red + green + blue < 200) == (scheme == "dark")
    assert seen.picture.startswith(PNG)


def test_what_is_looked_for_is_found(browser: Browser, tmp_path: Path) -> None:
    """The same page, made worse."""
    good = release_html.page(samples.made_up("plain"))
    worse = good.replace(
        "</main>",
        '<p style="width: 2000px; color: #f6f7f9; font-size: 5px">no</p>'
        "<script>alert(1)</script></main>",
    )
    path = tmp_path / "worse.html"
    path.write_text(worse.replace('class="title" x="', 'class="title" textLength="900" x="'))
    seen = browsers.look(browser, path, 390, "light")
    assert "Content Security Policy" in "".join(seen.said)
    assert seen.scroll > 1000
    assert seen.wide
    assert seen.cut
    assert seen.smallest < 6
    assert seen.contrast < 1.5
