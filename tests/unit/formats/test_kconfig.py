# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import FormatError
from bootseal.formats.kconfig import Setting, parse


def test_settings_are_read_with_their_lines() -> None:
    text = b'# a comment\n\nCONFIG_FIT=y\n# CONFIG_NET is not set\r\nCONFIG_NAME="a b"\nCONFIG_X=\n'

    assert parse(text, "a.cfg") == {
        "CONFIG_FIT": Setting("y", 3),
        "CONFIG_NET": Setting("n", 4),
        "CONFIG_NAME": Setting('"a b"', 5),
        "CONFIG_X": Setting("", 6),
    }


def test_commented_out_setting_is_a_comment() -> None:
    assert parse(b"# CONFIG_NET=y\n#CONFIG_NET=y\n# Not set: CONFIG_NET\n", "a.cfg") == {}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("CONFIG_A y", id="no equals sign"),
        pytest.param(" CONFIG_A=y", id="indented"),
        pytest.param("config_a=y", id="lower case"),
        pytest.param("CONFIG_A-B=y", id="not a symbol"),
        pytest.param("export CONFIG_A=y", id="shell"),
        pytest.param("CONFIG_\u00c4=y", id="not ASCII"),
        # Kconfig takes the first for a setting and the others for comments.
        pytest.param("# CONFIG_A is not set any more", id="words behind it"),
        pytest.param("#CONFIG_A is not set", id="no space"),
        pytest.param("#  CONFIG_A is not set", id="two spaces"),
        pytest.param("# CONFIG_A  is not set", id="two spaces inside"),
        pytest.param("# CONFIG_A not set", id="a word is missing"),
        pytest.param(" # CONFIG_A is not set", id="indented comment"),
    ],
)
def test_line_that_does_not_parse_is_refused(line: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(f"CONFIG_B=y\n{line}\n".encode(), "a.cfg")

    assert caught.value.message.startswith(f"a.cfg:2: {line!r} is not a setting: expected ")
    assert caught.value.hint.startswith("correct the line")


@pytest.mark.parametrize("second", ["CONFIG_A=y", "CONFIG_A=n", "# CONFIG_A is not set"])
def test_symbol_that_is_set_twice_is_refused(second: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse(f"CONFIG_A=y\n{second}\n".encode(), "a.cfg")

    assert caught.value.message == "a.cfg:2: CONFIG_A is set a second time, first in line 1"
    assert caught.value.hint == "take one of the two lines out"


def test_bytes_that_are_not_text_are_refused() -> None:
    with pytest.raises(FormatError, match=r"^a\.cfg: not UTF-8 text at byte 11$"):
        parse(b"CONFIG_A=y\n\xff\n", "a.cfg")
