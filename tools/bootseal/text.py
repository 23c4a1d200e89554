# SPDX-License-Identifier: MIT
"""Untrusted text, made harmless before it is shown."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Escape what a terminal or a page does not show as it is, such as control characters.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
