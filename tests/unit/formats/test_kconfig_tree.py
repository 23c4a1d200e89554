# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.formats import kconfig_tree
from bootseal.formats.kconfig import Setting

if TYPE_CHECKING:
    from pathlib import Path

ENV = """\
config ENV_IS_IN_FAT
\tbool "Environment in a FAT file system"
\tselect FS_FAT
\tselect FAT_WRITE if FS_FAT

menuconfig ENV_IS_NOWHERE
\tbool "Nowhere"
"""
COMMANDS = """\
config CMD_UBIFS
\ttristate "ubifs"
\tdepends on CMD_UBI && !NAND
\timply FS_FAT

config CMD_NET
\tdepends on NET || NET_LWIP
"""


@pytest.fixture
def tree(tmp_path: Path) -> kconfig_tree.Tree:
    (tmp_path / "env").mkdir()
    (tmp_path / "cmd").mkdir()
    (tmp_path / "env/Kconfig").write_text(ENV)
    (tmp_path / "cmd/Kconfig.more").write_bytes(COMMANDS.encode() + b"# \xff\n")
    (tmp_path / "cmd/other.c").write_text("config IGNORED\n\tselect FS_FAT\n")
    return kconfig_tree.read(tmp_path)


def cause(tree: kconfig_tree.Tree, symbol: str, *on: str) -> str:
    finished = {f"CONFIG_{name}": Setting("y", 1) for name in on}
    return kconfig_tree.cause(tree, f"CONFIG_{symbol}", finished)


def test_symbol_that_is_on_is_traced_to_what_selects_it(tree: kconfig_tree.Tree) -> None:
    found = cause(tree, "FS_FAT", "FS_FAT", "ENV_IS_IN_FAT")
    assert found == "selected by CONFIG_ENV_IS_IN_FAT (env/Kconfig:3)"


def test_every_symbol_that_selects_it_is_named(tree: kconfig_tree.Tree) -> None:
    found = cause(tree, "FS_FAT", "FS_FAT", "ENV_IS_IN_FAT", "CMD_UBIFS")
    assert found == (
        "selected by CONFIG_CMD_UBIFS (cmd/Kconfig.more:4), CONFIG_ENV_IS_IN_FAT (env/Kconfig:3)"
    )


def test_symbol_that_is_off_is_traced_to_what_it_depends_on(tree: kconfig_tree.Tree) -> None:
    assert cause(tree, "CMD_UBIFS") == "depends on CONFIG_CMD_UBI, which is off"


@pytest.mark.parametrize(
    ("symbol", "on"),
    [
        ("FS_FAT", ("FS_FAT",)),
        ("CMD_UBIFS", ("CMD_UBI",)),
        ("CMD_NET", ()),
        ("UNKNOWN", ()),
    ],
    ids=["nothing selects it", "all is there", "one of two", "unknown"],
)
def test_what_the_sources_do_not_tell_is_not_said(
    tree: kconfig_tree.Tree, symbol: str, on: tuple[str, ...]
) -> None:
    assert cause(tree, symbol, *on) == ""
