# SPDX-License-Identifier: MIT
from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError
from bootseal.reference import modules

if TYPE_CHECKING:
    from pathlib import Path

DEPENDENCIES = modules.parse_dependencies(
    "md/dm-verity.ko.xz: md/dm-bufio.ko.xz md/dm-mod.ko.xz\n"
    "md/dm-bufio.ko.xz: md/dm-mod.ko.xz\n"
    "md/dm-mod.ko.xz:\n"
    "fs/erofs.ko.xz:\n"
)


def test_closure_loads_each_module_after_what_it_needs() -> None:
    assert modules.closure(["dm_verity"], DEPENDENCIES) == (
        "md/dm-mod.ko.xz",
        "md/dm-bufio.ko.xz",
        "md/dm-verity.ko.xz",
    )


def test_closure_names_each_module_once() -> None:
    found = modules.closure(["dm-mod", "dm-verity", "dm_mod", "erofs"], DEPENDENCIES)

    assert len(found) == len(set(found)) == 4


def test_module_the_kernel_lacks_is_refused_by_name() -> None:
    with pytest.raises(FormatError, match="no module 'dm-crypt'"):
        modules.closure(["dm-crypt"], DEPENDENCIES)


def test_dependency_line_without_colon_is_refused() -> None:
    with pytest.raises(FormatError, match=r"modules\.dep:1"):
        modules.parse_dependencies("a.ko b.ko\n")


def test_installed_module_is_uncompressed_to_the_last_byte(tmp_path: Path) -> None:
    content = b"code~Module signature appended~\n"
    source = tmp_path / "tree" / modules.DIRECTORY / "6.12"
    source.mkdir(parents=True)
    (source / "a.ko.xz").write_bytes(lzma.compress(content))

    copied = modules.install(tmp_path / "tree", "6.12", ["a.ko.xz"], tmp_path / "to")

    assert copied == (f"{modules.DIRECTORY}/6.12/a.ko",)
    assert (tmp_path / "to" / copied[0]).read_bytes() == content
