# SPDX-License-Identifier: MIT
"""The reference build's U-Boot is compiled only when every fragment holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError, VerificationRefused
from bootseal.formats.uboot import config as uboot_config
from bootseal.reference import uboot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REQUIRED = "CONFIG_FIT_SIGNATURE=y\n# CONFIG_CMD_GO is not set\n"


class Kconfig:
    """Stands in for make: the last setting of a symbol wins, and one symbol may be dropped."""

    def __init__(self, dropped: str) -> None:
        self.dropped = dropped
        self.targets: list[str] = []

    def make(self, tree: Path, targets: Sequence[str], *, epoch: int) -> None:
        assert epoch == 1
        self.targets += targets
        config = tree / ".config"
        if targets == [uboot.DEFCONFIG]:
            wanted = "".join(f"CONFIG_{name}=y\n" for name in uboot_config.WANTED)
            config.write_text(f"{wanted}CONFIG_CMD_GO=y\n")
        elif targets == ["olddefconfig"]:
            last = {
                line.removeprefix("# ").partition("=")[0].partition(" ")[0]: line
                for line in config.read_text().splitlines()
                if line
            }
            config.write_text("".join(f"{v}\n" for k, v in last.items() if k != self.dropped))


def compile_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, board: str, dropped: str = ""
) -> list[str]:
    """Return what was made, in order."""
    kconfig = Kconfig(dropped)
    monkeypatch.setattr(uboot, "make", kconfig.make)
    (tmp_path / "verify.cfg").write_text(REQUIRED)
    (tmp_path / "board.cfg").write_text(board)
    required, boards = [tmp_path / "verify.cfg"], [tmp_path / "board.cfg"]
    uboot.compile_tree(tmp_path, required, boards, epoch=1)
    return kconfig.targets


def test_u_boot_is_compiled_when_the_fragments_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = compile_with(tmp_path, monkeypatch, board="CONFIG_MMC=y\n")
    assert made == [uboot.DEFCONFIG, "olddefconfig", uboot.BINARY]


@pytest.mark.parametrize(
    ("board", "dropped", "error", "reason"),
    [
        (
            "CONFIG_CMD_GO=y\n",
            "",
            VerificationRefused,
            r"CONFIG_CMD_GO should be n, as .* requires",
        ),
        (
            "# CONFIG_FIT_SIGNATURE is not set\n",
            "",
            VerificationRefused,
            r"CONFIG_FIT_SIGNATURE should be y, as .* requires",
        ),
        (
            "",
            "CONFIG_FIT_SIGNATURE",
            VerificationRefused,
            "CONFIG_FIT_SIGNATURE should be y, found n",
        ),
        ("CONFIG_MMC y\n", "", FormatError, "is not a setting"),
    ],
    ids=["board switches on", "board switches off", "dropped", "malformed"],
)
def test_u_boot_is_not_compiled_when_they_do_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    board: str,
    dropped: str,
    error: type[Exception],
    reason: str,
) -> None:
    with pytest.raises(error, match=reason):
        compile_with(tmp_path, monkeypatch, board=board, dropped=dropped)


def test_family_that_no_fragment_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VerificationRefused, match="CONFIG_ENV_IS_IN_MMC should be n, found y"):
        compile_with(tmp_path, monkeypatch, board="CONFIG_ENV_IS_IN_MMC=y\n")
