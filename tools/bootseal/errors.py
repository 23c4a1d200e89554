# SPDX-License-Identifier: MIT
"""The exceptions that cross module borders, each with the exit code it ends in.

Library code raises these and never prints or exits; `bootseal.cli.app` alone turns them into
text and an exit code.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What `bootseal` answers to the shell. Documented in docs/exit-codes.md."""

    OK = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    MALFORMED = 4
    TOOL = 5
    INCONCLUSIVE = 6
    INTERRUPTED = 130
    CLOSED_PIPE = 141


class BootsealError(Exception):
    """An expected failure.

    Args:
        message: What failed, where, what was observed and what was expected, as one paragraph.
        hint: What to type or do next; empty when nothing helps.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BootsealError):
    """The request itself cannot be carried out: options, configuration or existing files."""

    exit_code = ExitCode.USAGE


class VerificationRefused(BootsealError):
    """The input is well formed and was refused."""

    exit_code = ExitCode.REFUSED


class FormatError(BootsealError):
    """Bytes that are not what their format demands."""

    exit_code = ExitCode.MALFORMED


class ToolError(BootsealError):
    """An external program, the file system or the host let us down."""

    exit_code = ExitCode.TOOL


class Inconclusive(BootsealError):
    """Neither the expected end nor a refusal was seen, for example a timeout."""

    exit_code = ExitCode.INCONCLUSIVE
