# SPDX-License-Identifier: MIT
"""Who signed a disk, where nobody says it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from bootseal.cli.disk import sign

if TYPE_CHECKING:
    import pytest


def test_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as a user of no passwd file."""
    monkeypatch.setenv("LOGNAME", "ada")
    assert sign._me() == f"ada@{socket.gethostname()}"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert sign._me() == f"3999999999@{socket.gethostname()}"
