# SPDX-License-Identifier: MIT
"""Debian's browser, without a window, looking at pages in files."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

PROGRAM: Final = "chromium-headless-shell"
WIDTHS: Final = (1280, 390)
SCHEMES: Final = ("light", "dark")
_PATH: Final = f"/usr/bin/{PROGRAM}"
_PATIENCE: Final = 120_000
"""Milliseconds that the browser may take for a step, on a busy machine."""
# What makes a page unreadable, as far as a program can tell.
_LOOK: Final = """() => {
  const seen = [...document.querySelectorAll("h1, h2, h3, p, td, th, li, b, text, summary")]
    .filter(e => e.checkVisibility() && e.textContent.trim());
  const wide = seen.filter(e => {
    const r = e.getBoundingClientRect();
    return r.left < -0.5 || r.right > innerWidth + 0.5;
  });
  // Text in a drawing is as large as the drawing makes it.
  const heights = seen.map(e => {
    const size = parseFloat(getComputedStyle(e).fontSize);
    const drawing = e.ownerSVGElement;
    return drawing ? size * drawing.getScreenCTM().a : size;
  });
  const tone = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrasts = seen.filter(e => !e.ownerSVGElement).map(e => {
    const [a, b] = [tone(getComputedStyle(e).color), tone(ground(e))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
  const box = e => e.getBoundingClientRect();
  const cut = [...document.querySelectorAll(".stage")].filter(e => e.checkVisibility())
    .filter(e => [...e.querySelectorAll("text")]
      .some(t => box(t).right > box(e.querySelector("rect")).right + 0.5)
      || box(e.querySelector(".title")).right > box(e.querySelector(".tick")).left);
  return {
    scroll: document.documentElement.scrollWidth - innerWidth,
    wide: wide.map(e => e.textContent.trim().slice(0, 60)),
    cut: cut.map(e => e.textContent.trim().slice(0, 60)),
    smallest: Math.min(...heights),
    contrast: Math.min(...contrasts),
    ground: getComputedStyle(document.body).backgroundColor,
    pictures: [...document.querySelectorAll("svg.chain")].filter(e => e.checkVisibility()).length,
  };
}"""


@dataclass(kw_only=True)
class Look:
    """What was seen of a page.

    Attributes:
        scroll: Pixels that the page is wider than the window.
        wide: Texts that leave the window.
        cut: Stages of the chain whose text leaves their box, or runs into the mark.
        smallest: Height of the smallest text, pixels.
        contrast: Of the text that is hardest to tell from what is behind it (WCAG 2.2, 1.4.3).
        ground: Colour of the page.
        pictures: Drawings of the chain that show.
        said: What the page said on the console, and what it asked for besides itself.
        picture: A picture of the whole page, PNG.
    """

    scroll: int
    wide: list[str]
    cut: list[str]
    smallest: float
    contrast: float
    ground: str
    pictures: int
    said: list[str] = field(default_factory=list)
    picture: bytes = b""


@contextmanager
def started() -> Iterator[Browser]:
    """Start the browser; what it does not find here it cannot fetch."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_PATH, chromium_sandbox=False, timeout=_PATIENCE
        )
        try:
            yield browser
        finally:
            browser.close()


def look(browser: Browser, page: Path, width: int, scheme: str) -> Look:
    """Take a picture of a page, and look at it with all that folds open."""
    said: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    context.set_default_timeout(_PATIENCE)
    try:
        tab = context.new_page()
        tab.on("console", lambda message: said.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: said.append(f"error: {error}"))
        tab.on("request", lambda request: said.append(request.url))
        tab.goto(page.as_uri())
        said.remove(page.as_uri())
        picture = tab.screenshot(full_page=True)
        tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
        return Look(**tab.evaluate(_LOOK), said=said, picture=picture)
    finally:
        context.close()
