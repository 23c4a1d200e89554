# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal.assembly import fragments
from bootseal.assembly.fragments import FragmentRole, ProblemKind
from bootseal.errors import FormatError, VerificationRefused
from bootseal.formats.uboot import config as uboot_config

if TYPE_CHECKING:
    from bootseal.assembly.fragments import Problem

SHIPPED = Path(__file__).parents[3] / "meta-secureboot"
UBOOT = "recipes-bsp/u-boot/files"
VERIFY = "CONFIG_FIT=y\nCONFIG_FIT_SIGNATURE=y\nCONFIG_SYS_LEN=0x10\n"
HARDEN = "# No other way in.\n# CONFIG_CMD_GO is not set\n"
FINISHED = f"{VERIFY}# CONFIG_CMD_GO is not set\nCONFIG_MMC=y\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("verify.cfg").write_text(VERIFY)
    Path("harden.cfg").write_text(HARDEN)


def compared(config: str, **boards: str) -> tuple[Problem, ...]:
    """Return what is wrong with a finished configuration, and boards' fragments by name."""
    Path(".config").write_text(config)
    given = [
        fragments.read(Path(f"{name}.cfg"), FragmentRole.REQUIRED) for name in ("verify", "harden")
    ]
    for name, text in boards.items():
        Path(f"{name}.cfg").write_text(text)
        given.append(fragments.read(Path(f"{name}.cfg"), FragmentRole.BOARD))
    return fragments.problems(Path(".config"), given)


def said(config: str, **boards: str) -> list[str]:
    return [problem.message for problem in compared(config, **boards)]


def test_configuration_with_every_setting_has_no_problems() -> None:
    assert said(FINISHED) == []


def test_symbol_that_the_configuration_does_not_have_is_off() -> None:
    assert said(VERIFY) == []


@pytest.mark.parametrize(
    "board",
    ["CONFIG_MMC=y\n# CONFIG_GONE is not set\n", "CONFIG_FIT=y\n", "CONFIG_CMD_GO=n\n", ""],
    ids=["something else", "the same on", "the same off", "nothing"],
)
def test_board_may_add_and_repeat(board: str) -> None:
    assert said(FINISHED, board=board) == []


@pytest.mark.parametrize(
    ("board", "finished", "reason"),
    [
        (
            "CONFIG_CMD_GO=y\n",
            FINISHED.replace("# CONFIG_CMD_GO is not set", "CONFIG_CMD_GO=y"),
            "board.cfg:1: CONFIG_CMD_GO should be n, as harden.cfg:2 requires, found y",
        ),
        (
            "\n# CONFIG_FIT_SIGNATURE is not set\n",
            FINISHED.replace("CONFIG_FIT_SIGNATURE=y", "# CONFIG_FIT_SIGNATURE is not set"),
            "board.cfg:2: CONFIG_FIT_SIGNATURE should be y, as verify.cfg:2 requires, found n",
        ),
        (
            "CONFIG_FIT=m\n",
            FINISHED.replace("CONFIG_FIT=y", "CONFIG_FIT=m"),
            "board.cfg:1: CONFIG_FIT should be y, as verify.cfg:1 requires, found m",
        ),
        (
            "CONFIG_SYS_LEN=0x20\n",
            FINISHED.replace("0x10", "0x20"),
            "board.cfg:1: CONFIG_SYS_LEN should be 0x10, as verify.cfg:3 requires, found 0x20",
        ),
    ],
    ids=["on", "off", "module", "another value"],
)
def test_board_that_contradicts_is_refused_whatever_kconfig_made_of_it(
    board: str, finished: str, reason: str
) -> None:
    # Whether the board's line won, or the layer's.
    for config in (finished, FINISHED):
        (problem,) = compared(config, board=board)
        assert problem.message == reason
        assert problem.kind is ProblemKind.CONTRADICTION
        assert problem.remedy == (
            "take the line out of board.cfg: a board's fragments may add settings"
            " and must not contradict required ones"
        )


def test_order_of_the_fragments_does_not_decide() -> None:
    Path(".config").write_text(FINISHED)
    Path("board.cfg").write_text("CONFIG_CMD_GO=y\n")
    given = [
        fragments.read(Path("board.cfg"), FragmentRole.BOARD),
        fragments.read(Path("harden.cfg"), FragmentRole.REQUIRED),
    ]

    (problem,) = fragments.problems(Path(".config"), given)
    assert (problem.file, problem.expected, problem.observed) == ("board.cfg", "n", "y")


def test_two_boards_that_disagree_are_refused() -> None:
    (problem,) = compared(FINISHED, one="CONFIG_MMC=y\n", two="# CONFIG_MMC is not set\n")
    assert problem.message == "two.cfg:1: CONFIG_MMC should be y, as one.cfg:1 says, found n"
    assert problem.remedy == "take CONFIG_MMC out of two.cfg or one.cfg: only one can hold"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ("CONFIG_FIT_SIGNATURE=y\n", ""),
            "verify.cfg:2: CONFIG_FIT_SIGNATURE should be y, found n: .config does not have it",
        ),
        (
            ("CONFIG_FIT_SIGNATURE=y", "# CONFIG_FIT_SIGNATURE is not set"),
            "verify.cfg:2: CONFIG_FIT_SIGNATURE should be y, found n in .config:2",
        ),
        (
            ("CONFIG_FIT=y", "CONFIG_FIT=m"),
            "verify.cfg:1: CONFIG_FIT should be y, found m in .config:1",
        ),
        (
            ("0x10", "0x20"),
            "verify.cfg:3: CONFIG_SYS_LEN should be 0x10, found 0x20 in .config:3",
        ),
        (
            ("# CONFIG_CMD_GO is not set", "CONFIG_CMD_GO=y"),
            "harden.cfg:2: CONFIG_CMD_GO should be n, found y in .config:4",
        ),
    ],
    ids=["dropped", "off", "module", "another value", "back on"],
)
def test_setting_that_did_not_stick_is_named(change: tuple[str, str], reason: str) -> None:
    (problem,) = compared(FINISHED.replace(*change))
    assert problem.message == reason
    assert problem.kind is ProblemKind.LOST
    assert problem.remedy.startswith("search for the symbol in menuconfig")


def test_setting_of_the_board_that_did_not_stick_is_named() -> None:
    assert said(FINISHED, board="CONFIG_USB=y\n") == [
        "board.cfg:1: CONFIG_USB should be y, found n: .config does not have it"
    ]


def test_every_problem_is_named_and_each_remedy_once() -> None:
    config = Path(".config")
    found = compared("", board="CONFIG_CMD_GO=y\nCONFIG_USB=y\n")

    with pytest.raises(VerificationRefused) as caught:
        fragments.refuse(found, config)
    assert caught.value.message.splitlines() == [
        ".config differs from what its fragments require:",
        "  board.cfg:1: CONFIG_CMD_GO should be n, as harden.cfg:2 requires, found y",
        "  verify.cfg:1: CONFIG_FIT should be y, found n: .config does not have it",
        "  verify.cfg:2: CONFIG_FIT_SIGNATURE should be y, found n: .config does not have it",
        "  verify.cfg:3: CONFIG_SYS_LEN should be 0x10, found n: .config does not have it",
        "  board.cfg:2: CONFIG_USB should be y, found n: .config does not have it",
    ]
    assert caught.value.hint.count("take the line out of board.cfg") == 1
    assert caught.value.hint.count("search for the symbol in menuconfig") == 1


def test_nothing_is_refused_when_there_are_no_problems() -> None:
    fragments.refuse((), Path(".config"))


@pytest.mark.parametrize("broken", ["board", "config"])
def test_line_that_does_not_parse_is_refused_wherever_it_is(broken: str) -> None:
    texts = {"board": "", "config": FINISHED, broken: "CONFIG_A y\n"}
    with pytest.raises(FormatError, match=rf"{broken}.*:1: 'CONFIG_A y' is not a setting"):
        compared(texts["config"], board=texts["board"])


GOOD = "".join(f"CONFIG_{name}=y\n" for name in uboot_config.WANTED)


def of_uboot(config: str, board: str = "", sources: Path | None = None) -> list[str]:
    """Return what is wrong with a U-Boot's configuration that no required fragment speaks of."""
    Path(".config").write_text(config)
    Path("board.cfg").write_text(board)
    given = [fragments.read(Path("board.cfg"), FragmentRole.BOARD)]
    found = fragments.problems(Path(".config"), given, uboot=True, sources=sources)
    assert {problem.kind for problem in found} <= {ProblemKind.FORBIDDEN, ProblemKind.LOST}
    return [problem.message for problem in found]


def test_good_uboot_is_accepted() -> None:
    assert of_uboot(GOOD + "CONFIG_CMD_MMC=y\n", "CONFIG_CMD_MMC=y\n") == []


@pytest.mark.parametrize(
    ("symbol", "reason"),
    [
        ("ENV_IS_IN_MTD", "the boot command would be read from where anyone can write it"),
        ("CMD_UBI", "a command outside of the allow-list"),
        ("FS_EXFAT", "a file system would be parsed before it is verified"),
        ("NET_LWIP", "the network would reach U-Boot"),
    ],
)
def test_family_is_refused_by_the_name_of_what_asks_for_it(symbol: str, reason: str) -> None:
    setting = f"CONFIG_{symbol}=y\n"
    said = f":{{}}: CONFIG_{symbol} should be n, found y: {reason}"
    # The fragment, whether or not Kconfig did what it asks for; else the configuration.
    assert of_uboot(GOOD + setting, setting) == [f"board.cfg{said.format(1)}"]
    assert of_uboot(GOOD, setting) == [f"board.cfg{said.format(1)}"]
    assert of_uboot(GOOD + setting) == [f".config{said.format(6)}"]


def test_board_that_switches_off_what_verifies_is_named() -> None:
    off = "# CONFIG_FIT_SIGNATURE is not set\n"
    said = "CONFIG_FIT_SIGNATURE should be y, found n: without it nothing is verified"
    assert of_uboot(GOOD, off) == [f"board.cfg:1: {said}"]
    assert of_uboot(GOOD.replace("CONFIG_FIT_SIGNATURE=y\n", "")) == [f".config: {said}"]


def test_kernel_has_no_families() -> None:
    Path(".config").write_text("CONFIG_NET=y\n")
    Path("board.cfg").write_text("CONFIG_NET=y\n")
    given = [fragments.read(Path("board.cfg"), FragmentRole.BOARD)]
    assert fragments.problems(Path(".config"), given) == ()


def test_lost_setting_is_said_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "Kconfig").write_text("config SPL_FS_FAT\n\tselect FS_FAT\n")
    Path("verify.cfg").write_text("# CONFIG_FS_FAT is not set\n")
    Path(".config").write_text("CONFIG_SPL_FS_FAT=y\nCONFIG_FS_FAT=y\n")
    given = [fragments.read(Path("verify.cfg"), FragmentRole.REQUIRED)]
    (problem,) = fragments.problems(Path(".config"), given, sources=tmp_path)
    assert problem.message == (
        "verify.cfg:1: CONFIG_FS_FAT should be n, found y in .config:2;"
        " selected by CONFIG_SPL_FS_FAT (Kconfig:2)"
    )
    assert problem.remedy == "change what selects it in a fragment of the board"


@pytest.mark.parametrize(
    ("directory", "board", "others"),
    [
        (UBOOT, {"qemu-virt.cfg", "qemu-virt-bios.cfg"}, {"qemu-virt-rom.cfg"}),
        (
            UBOOT,
            {"qemu-virt.cfg", "qemu-virt-rom.cfg"},
            {"qemu-virt-bios.cfg", "measured-first.cfg"},
        ),
        ("recipes-kernel/linux/files", {"qemu-virt-kernel.cfg"}, {"modules-key.cfg"}),
        ("recipes-kernel/linux/files", {"qemu-virt-kernel.cfg"}, {"modules-build.cfg"}),
    ],
    ids=["U-Boot", "U-Boot behind a boot ROM", "kernel", "kernel with signed modules"],
)
def test_fragments_of_the_layer_agree_with_each_other(
    directory: str, board: set[str], others: set[str]
) -> None:
    paths = [p for p in sorted((SHIPPED / directory).glob("*.cfg")) if p.name not in others]
    given = [
        fragments.read(path, FragmentRole.BOARD if path.name in board else FragmentRole.REQUIRED)
        for path in paths
    ]
    lines = {
        f"{symbol}={setting.value}"
        for fragment in given
        for symbol, setting in fragment.settings.items()
    }
    Path(".config").write_text("\n".join(sorted(lines)))

    assert len(given) > 3
    assert fragments.problems(Path(".config"), given) == ()
