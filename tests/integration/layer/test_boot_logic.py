# SPDX-License-Identifier: MIT
"""The boot logic's own words, in a shell: what it writes to the disk, and when it stops to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bootseal import proc

pytestmark = pytest.mark.tool("cpp")

LOGIC = Path(__file__).parents[3] / "meta-secureboot/recipes-bsp/u-boot/files/bootseal.env"
# The blocks at which the two copies of the slot state begin.
FIRST, SECOND = "800", "c00"
OLD = "BOOT_ORDER='B A'\nBOOT_A_LEFT=0\nBOOT_B_LEFT=2\n"
DISKS: dict[str, list[str]] = {"virtio": [], "mmc": ["-DCONFIG_BOOTSEAL_DISK_MMC"]}
# What U-Boot's commands do, as far as the logic can tell. Each copy of the slot state is in a file
# that is named by its block; one without a state in it has no valid checksum. The power fails while
# the block $cut is written. `bootm` comes back, as it does with a slot that is refused, unless the
# slot is named in $good.
COMMANDS = r"""
setenv() { variable=$1; shift; eval "$variable=\$*"; }
run() { eval "eval \"\$$1\""; }
test() { if [ "$2" = -ge ]; then [ $(($1)) -ge $(($3)) ]; else [ "$@" ]; fi; }
setexpr() { eval "$1=$(printf %x $((0x$2 + $4)))"; }
part() {
	case $1 in
	start) eval "$5=800" ;;
	size) eval "$5=$size" ;;
	esac
}
env() {
	case $1 in
	import) grep -q BOOT_ORDER memory && . ./memory ;;
	export) printf '%s=%s\n' BOOT_ORDER "'$BOOT_ORDER'" BOOT_A_LEFT "$BOOT_A_LEFT" \
		BOOT_B_LEFT "$BOOT_B_LEFT" >memory ;;
	esac
}
mmc() {
	case $1 in
	read) cp "$3" memory 2>/dev/null || : >memory ;;
	write)
		if [ "$3" = "$cut" ]; then echo torn >"$3"; echo "cut $3"; exit; fi
		if [ "$3" = "$bad" ]; then return 1; fi
		cp memory "$3" && echo "written $3" ;;
	esac
}
virtio() { mmc "$@"; }
bootm() { case $1 in *#conf-$good) echo "started $good"; exit ;; esac; }
poweroff() { return 1; }
reset() { echo restarts; exit; }
"""


def logic(disk: str) -> str:
    """Return the logic as assignments of a shell, after the preprocessor that U-Boot uses."""
    values = [f"-DCONFIG_BOOTSEAL_{name}=0" for name in ("DISK", "STATE_ADDRESS", "FIT_ADDRESS")]
    args = ["-P", "-undef", "-x", "assembler-with-cpp", *values, *DISKS[disk]]
    text = proc.run("cpp", [*args, LOGIC], timeout=60).stdout.decode()
    variables = re.split(r"^(\w+)=", text, flags=re.MULTILINE)[1:]
    lines = []
    for name, value in zip(variables[::2], variables[1::2], strict=True):
        body = " ".join(value.split())
        assert "'" not in body
        lines.append(f"{name}='{body}'")
    return "\n".join(lines)


@pytest.fixture(params=DISKS)
def script(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "logic"
    path.write_text(f"{COMMANDS}\n{logic(request.param)}\n")
    return path


def power_on(
    script: Path, good: str = "none", *, cut: str = "", bad: str = "", size: str = "800"
) -> list[str]:
    """Return the lines of one start."""
    given = f"good={good} cut={cut} bad={bad} size={size}"
    args = ["dash", "-uc", f"{given}; . ./logic; run bootseal"]
    done = subprocess.run(args, cwd=script.parent, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def put(script: Path, state: str, *copies: str) -> None:
    for copy in copies:
        (script.parent / copy).write_text(state)


def left(script: Path, copy: str = FIRST) -> list[str]:
    return re.findall(r"LEFT=(\w*)", (script.parent / copy).read_text())


def test_an_attempt_is_written_before_the_slot_is_started(script: Path) -> None:
    for wanted in (["2", "3"], ["1", "3"], ["0", "3"]):
        said = power_on(script, good="a")
        assert [line for line in said if line.startswith(("written", "started"))] == [
            f"written {SECOND}",
            f"written {FIRST}",
            "started a",
        ]
        assert left(script) == left(script, SECOND) == wanted
    # The other one is tried first now, and refused.
    said = power_on(script, good="a")
    assert said.index("bootseal: trying slot b") < said.index("started a")
    assert left(script) == ["0", "2"]


def test_a_device_that_restarts_for_ever_stops_writing(script: Path) -> None:
    written = [power_on(script).count(f"written {FIRST}") for _ in range(6)]
    assert written == [2, 2, 2, 0, 0, 0]
    assert left(script) == ["0", "0"]
    said = power_on(script)
    assert said[-1] == "restarts"
    assert [line for line in said if "last resort" in line] == [
        "bootseal: slot a has no attempts left, last resort",
        "bootseal: slot b has no attempts left, last resort",
    ]


@pytest.mark.parametrize("attempts", ["7", "x", "33"])
def test_attempts_that_the_logic_does_not_know_are_none(script: Path, attempts: str) -> None:
    state = f"BOOT_ORDER='A B'\nBOOT_A_LEFT={attempts}\nBOOT_B_LEFT=1\n"
    put(script, state, FIRST)
    said = power_on(script)
    tried = [line for line in said if "trying slot" in line]
    assert tried == ["bootseal: trying slot b", "bootseal: trying slot a"]
    assert left(script) == [attempts, "0"]


@pytest.mark.parametrize(
    ("whole", "order"),
    [((FIRST, SECOND), (SECOND, FIRST)), ((FIRST,), (SECOND, FIRST)), ((SECOND,), (FIRST, SECOND))],
    ids=["both", "second torn", "first torn"],
)
@pytest.mark.parametrize("cut", [0, 1])
def test_state_is_the_old_or_the_new_one_after_a_cut_in_each_write(
    script: Path, whole: tuple[str, ...], order: tuple[str, str], cut: int
) -> None:
    put(script, "torn", FIRST, SECOND)
    put(script, OLD, *whole)

    said = power_on(script, good="b", cut=order[cut])

    assert said[-1] == f"cut {order[cut]}"
    said = power_on(script, good="b")
    # The attempt that was counted, if it was, is not lost, and slot a is not tried.
    assert "started b" in said
    assert not any("defaults" in line or "slot a" in line for line in said)
    assert left(script) == left(script, SECOND)
    assert left(script) == ["0", "0" if cut else "1"]


def test_without_a_whole_copy_the_defaults_are_used_and_both_are_written(script: Path) -> None:
    put(script, "torn", FIRST, SECOND)
    said = power_on(script, good="a")
    assert "bootseal: no valid slot state, using defaults" in said
    assert left(script) == left(script, SECOND) == ["2", "3"]


def test_copy_that_cannot_be_written_does_not_stop_the_counting(script: Path) -> None:
    for bad, other in ((SECOND, FIRST), (FIRST, SECOND)):
        put(script, OLD, FIRST, SECOND)
        said = power_on(script, good="b", bad=bad)
        assert left(script, other) == ["0", "1"]
        assert "bootseal: slot state not saved" not in said


def test_partition_without_room_for_a_second_copy_has_one(script: Path) -> None:
    put(script, OLD, FIRST)
    said = power_on(script, good="b", size="41f")
    assert said.count(f"written {FIRST}") == 1
    assert not (script.parent / SECOND).exists()
    said = power_on(script, good="b", size="41f", bad=FIRST)
    assert "bootseal: slot state not saved" in said

    # Nothing behind the partition is read, either.
    put(script, "torn", FIRST)
    put(script, OLD, SECOND)
    assert "bootseal: no valid slot state, using defaults" in power_on(script, size="41f")
