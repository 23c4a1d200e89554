# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import FormatError, ToolError
from bootseal.reference import kconfig


def test_settings_that_stuck_are_accepted() -> None:
    fragments = {"a.cfg": kconfig.parse("CONFIG_FIT=y\n# CONFIG_NET is not set\n", "a.cfg")}

    kconfig.check({"CONFIG_FIT": "y"}, fragments)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        pytest.param("", "a.cfg: CONFIG_FIT should be y, found n", id="dropped"),
        pytest.param("CONFIG_FIT=m\n", "CONFIG_FIT should be y, found m", id="changed"),
        pytest.param("CONFIG_FIT=y\nCONFIG_NET=y\n", "CONFIG_NET should be n, found y", id="back"),
    ],
)
def test_setting_that_did_not_stick_is_refused_by_name(config: str, reason: str) -> None:
    fragments = {"a.cfg": kconfig.parse("CONFIG_FIT=y\n# CONFIG_NET is not set\n", "a.cfg")}

    with pytest.raises(ToolError, match=reason):
        kconfig.check(kconfig.parse(config, ".config"), fragments)


def test_every_lost_setting_is_named() -> None:
    with pytest.raises(ToolError, match=r"CONFIG_A .*\n.*CONFIG_B "):
        kconfig.check({}, {"a.cfg": {"CONFIG_A": "y"}, "b.cfg": {"CONFIG_B": '"x"'}})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("CONFIG_A y\n", "a.cfg:1: 'CONFIG_A y' is neither", id="no-equals"),
        pytest.param("CONFIG_A=y\nCONFIG_A=n\n", "a.cfg:2: CONFIG_A is set a second", id="twice"),
    ],
)
def test_fragment_with_an_odd_line_is_refused(text: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        kconfig.parse(text, "a.cfg")
