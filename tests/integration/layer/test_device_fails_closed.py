# SPDX-License-Identifier: MIT
"""What the device does when a step that closes something fails, or when its data is not its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CORE = Path(__file__).parents[3] / "meta-secureboot/recipes-core"
FILES = CORE / "bootseal-device/files"
INIT = CORE / "bootseal-initramfs/files/init"
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]


def settings(unit: str) -> list[tuple[str, str]]:
    """Return the settings of a unit in their order."""
    lines = (FILES / unit).read_text().splitlines()
    return [(n, v) for n, _, v in (x.partition("=") for x in lines if x[:1].isalpha())]


def test_boot_that_cannot_be_capped_restarts_and_starts_nothing() -> None:
    found = settings("bootseal-cap.service")
    assert ("FailureAction", "reboot-force") in found
    # With WantedBy, what comes after it would start all the same.
    assert ("RequiredBy", "sysinit.target") in found
    assert ("Before", "sysinit.target") in found
    assert "WantedBy" not in dict(found)
    starts = [value for name, value in found if name == "ExecStart"]
    assert starts == ["/usr/lib/bootseal/rollback close", "/usr/lib/bootseal/volume cap"]


def test_volume_is_compared_before_and_after_it_is_opened() -> None:
    starts = [value for name, value in settings("bootseal-data.service") if name == "ExecStart"]
    order = [
        "/usr/lib/bootseal/rollback define",
        "/usr/lib/bootseal/create-data",
        "/usr/lib/bootseal/rollback close",
        "/usr/lib/bootseal/volume header",
        "systemctl start systemd-cryptsetup@data.service",
        "/usr/lib/bootseal/volume bind",
        "-/usr/bin/bootseal-data keep",
    ]
    # None of the first six may fail: a dash in front would say so.
    assert [start for start in starts if start in order] == order


def test_volume_that_was_refused_is_closed_and_cannot_be_mounted() -> None:
    stops = [value for name, value in settings("bootseal-data.service") if name == "ExecStopPost"]
    assert "systemctl stop systemd-cryptsetup@data.service" in stops[0]
    lines = (FILES / "fstab").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("/dev/mapper/data "))
    assert "x-systemd.requires=bootseal-data.service" in line.split()[3].split(",")


def test_volume_key_is_measured() -> None:
    options = (FILES / "crypttab").read_text().splitlines()[-1].split()[3].split(",")
    assert {"tpm2-measure-pcr=15", "tpm2-measure-bank=sha256"} <= set(options)
    assert ("Environment", "SYSTEMD_FORCE_MEASURE=1") in settings("measure.conf")


@pytest.mark.parametrize("shell", SHELLS)
def test_initramfs_never_goes_on_after_a_refusal(shell: str, tmp_path: Path) -> None:
    text = INIT.read_text()
    functions = "\n".join(
        text[text.index(f"{name}() {{\n") :].partition("\n}\n")[0] + "\n}"
        for name in ("restart", "refuse_rollback")
    )
    said = tmp_path / "said"
    script = f"""
        say() {{ echo "$*" >>{said}; }}
        cap() {{ return 1; }}
        sync() {{ :; }}
        reboot() {{ echo reboot >>{said}; return 1; }}
        sleep() {{ echo slept >>{said}; [ "$(grep -c slept {said})" -lt 3 ] || exit 7; }}
        {functions}
        refuse_rollback "it is too old"
        echo "went on" >>{said}
    """
    args = [shell, *(["sh"] if shell == "busybox" else []), "-c", script]
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=20)

    assert done.returncode == 7, done.stderr
    assert said.read_text().splitlines() == ["ROLLBACK REFUSED: it is too old"] + 3 * [
        "reboot",
        "slept",
    ]


def test_kernel_of_the_layer_has_no_null_cipher() -> None:
    fragment = (CORE.parent / "recipes-kernel/linux/files/crypt.cfg").read_text()
    assert re.search(r"^# CONFIG_CRYPTO_NULL is not set$", fragment, re.MULTILINE)
