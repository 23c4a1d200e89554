# SPDX-License-Identifier: MIT
"""What can go wrong, as exceptions."""

from __future__ import annotations


class AgentError(Exception):
    """An expected failure; its text says what, where, what was observed and what was expected."""


class Refusal(AgentError):
    """What someone sent is not what it has to be, and nothing is done about it."""


class InstallError(AgentError):
    """A bundle or an application was not installed.

    Args:
        reason: Why.
        passing: Whether the same may succeed with a fresh URL or after a while.
        ongoing: Whether what installs may still be at work, where nobody waits for it any more.
    """

    def __init__(self, reason: str, *, passing: bool = False, ongoing: bool = False) -> None:
        super().__init__(reason)
        self.passing = passing
        self.ongoing = ongoing
