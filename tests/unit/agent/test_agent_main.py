# SPDX-License-Identifier: MIT
"""What the agent is started with: its configuration, and the running slot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from bootseal_agent import main
from bootseal_agent.errors import Refusal

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION: Final = """\
thing = "/run/bootseal/identity/name"
host = "example-ats.iot.eu-central-1.amazonaws.com"
port = 8883
compatible = "bootseal-qemuarm64"
version = "1.0"
ca = "/usr/share/bootseal/ca.pem"
certificate = "/data/identity/device.crt"
key = "/data/identity/device.key"
record = "/data/agent/record"
restart = "/run/bootseal/restart"
downloads = "/data/agent/downloads"
apps = "/run/bootseal-agent/app-request"
"""


@pytest.mark.parametrize("slot", ["a", "b"])
@pytest.mark.parametrize("rest", ["{}", "quiet {}\n", "bootseal.slots=b {} xbootseal.slot=b"])
def test_slot_is_the_one_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slot: str, rest: str
) -> None:
    (tmp_path / "cmdline").write_text(rest.format(f"bootseal.slot={slot}"))
    monkeypatch.setattr(main, "_COMMAND_LINE", tmp_path / "cmdline")

    assert main._slot() == slot


@pytest.mark.parametrize(
    "line",
    [
        "quiet",
        "bootseal.slot=",
        "bootseal.slot=c",
        "bootseal.slot=ab",
        "bootseal.slot=a bootseal.slot=b",
        "bootseal.slot=a bootseal.slot=a",
        "bootseal.slot=a bootseal.slot=c",
    ],
)
def test_command_line_without_one_slot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "cmdline").write_text(line)
    monkeypatch.setattr(main, "_COMMAND_LINE", tmp_path / "cmdline")

    with pytest.raises(Refusal, match="does not name one slot"):
        main._slot()


def test_configuration_has_all_its_keys_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIGURATION)
    assert main._settings(path)["port"] == 8883
    for text in (CONFIGURATION + "shell = 1\n", CONFIGURATION.replace("port = 8883\n", "")):
        path.write_text(text)
        with pytest.raises(Refusal, match=r"missing or unknown keys: '(shell|port)'"):
            main._settings(path)
    for text in ("thing", "thing = " + "[" * 3000):
        path.write_text(text)
        with pytest.raises(Refusal, match="is not TOML"):
            main._settings(path)


@pytest.mark.parametrize("text", ["gw-1", "gw-1\n", "a:b_C-9", "x" * 128])
def test_thing_is_named_in_a_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "name").write_text(text)

    assert main._name(tmp_path / "name") == text.strip()


@pytest.mark.parametrize("text", ["", "a/b", "a b", "+", "#", "x" * 129, "\udcff"])
def test_name_that_no_thing_can_have_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "name").write_text(text, errors="surrogateescape")

    with pytest.raises(Refusal, match=r"has name .*: expected"):
        main._name(tmp_path / "name")


@pytest.mark.parametrize(
    ("host", "usable"),
    [
        ("example-ats.iot.eu-central-1.amazonaws.com", True),
        ("10.0.2.100", True),
        ("localhost", True),
        ("a..b", False),
        (".a", False),
        ("a.", False),
        ("a" * 64, False),
        (".".join(["a" * 63] * 4), False),
        ("a/b", False),
        ("", False),
    ],
)
def test_host_is_a_name_that_can_be_resolved(host: str, *, usable: bool) -> None:
    """The standard library raises UnicodeError, which is not an OSError, for some of the others."""
    assert (re.fullmatch(main._HOST, host) is not None) is usable
