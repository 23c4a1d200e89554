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
DISKS: dict[str, list[str]] = {"virtio": [], "mmc": ["-DCONFIG_BOOTSEAL_DISK_MMC"]}
# What U-Boot's commands do, as far as the logic can tell. The slot state is in a file. `bootm`
# comes back, as it does with a slot that is refused, unless the slot is named in $good.
COMMANDS = r"""
setenv() { eval "$1=\$2"; }
run() { eval "eval \"\$$1\""; }
part() { for last; do :; done; eval "$last=1"; }
env() {
	case $1 in
	import) [ -e state ] && . ./state ;;
	export) printf '%s=%s\n' BOOT_ORDER "'$BOOT_ORDER'" BOOT_A_LEFT "$BOOT_A_LEFT" \
		BOOT_B_LEFT "$BOOT_B_LEFT" >exported ;;
	esac
}
mmc() {
	case $1 in
	write) cp exported state && echo written ;;
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


def power_on(script: Path, good: str = "none") -> list[str]:
    """Return the lines of one start."""
    args = ["dash", "-uc", f"good={good}; . ./logic; run bootseal"]
    done = subprocess.run(args, cwd=script.parent, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def left(script: Path) -> list[str]:
    return re.findall(r"LEFT=(\w*)", (script.parent / "state").read_text())


def test_an_attempt_is_written_before_the_slot_is_started(script: Path) -> None:
    for wanted in (["2", "3"], ["1", "3"], ["0", "3"]):
        said = power_on(script, good="a")
        assert said.index("written") < said.index("started a")
        assert left(script) == wanted
    # The other one is tried first now, and refused.
    said = power_on(script, good="a")
    assert said.index("bootseal: trying slot b") < said.index("started a")
    assert left(script) == ["0", "2"]


def test_a_device_that_restarts_for_ever_stops_writing(script: Path) -> None:
    written = [power_on(script).count("written") for _ in range(6)]
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
    (script.parent / "state").write_text(state)
    said = power_on(script)
    tried = [line for line in said if "trying slot" in line]
    assert tried == ["bootseal: trying slot b", "bootseal: trying slot a"]
    assert left(script) == [attempts, "0"]
