# SPDX-License-Identifier: MIT
"""What a root may say about applications, and each way to say more than the layer does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests import app_samples, update_samples
from tests.unit.check.rootfs import root_samples

from bootseal.check.rootfs import applications
from bootseal.check.rootfs.starts import units
from bootseal.findings.model import Finding, Severity
from bootseal.formats.app import rules
from bootseal.keys.public import from_crypto

if TYPE_CHECKING:
    from tests.unit.check.rootfs.root_samples import Files

LAYER = Path(__file__).parents[4] / "meta-secureboot/recipes-core"
UNIT = (LAYER / "bootseal-app/files/bootseal-app@.service").read_text()
PLACE = "usr/lib/systemd/system/bootseal-app@.service"
RULES = "usr/lib/bootseal/apps.d/hello.conf"
CERTIFICATE = "etc/verity.d/bootseal-app.crt"
DROP_IN = "usr/lib/systemd/system/bootseal-app@hello.service.d/limits.conf"
GOOD = "MINIMUM=1.2.0\nHEALTH=5\n"


def pem(number: int = 1) -> bytes:
    return app_samples.key(number).certificate.public_bytes(Encoding.PEM)


def fingerprint(number: int = 1) -> str:
    return from_crypto(app_samples.key(number).certificate.public_key()).fingerprint()


def check(tmp_path: Path, files: Files, keys: tuple[str, ...] = ()) -> list[Finding]:
    fstab = (LAYER / "bootseal-device/files/fstab").read_bytes()
    base: Files = {"etc/fstab": fstab}
    return list(applications.check(root_samples.tree(tmp_path, base | files), "root-a", keys))


def only(found: list[Finding]) -> Finding:
    (one,) = found
    return one


def test_what_the_layer_installs_is_no_finding(tmp_path: Path) -> None:
    files: Files = {
        PLACE: UNIT,
        RULES: GOOD,
        CERTIFICATE: pem(),
        DROP_IN: "[Service]\nMemoryMax=32M\nTasksMax=16\nCPUQuota=20%\n",
        "usr/lib/systemd/system/bootseal-apps.service": "[Service]\nExecStart=/usr/bin/x\n",
    }
    assert check(tmp_path, files, (fingerprint(),)) == []
    assert check(tmp_path, {}) == []


def test_confinement_that_is_required_is_that_of_the_layers_unit() -> None:
    """Whatever the unit gains or loses, the check has to as well."""
    section = UNIT.partition("[Service]")[2]
    found: dict[str, tuple[str, ...]] = {}
    for each in units.settings(section):
        found[each.key] = (*found.get(each.key, ()), each.value)
    limits = {
        *("Type", "Restart", "RestartSec", "TimeoutStartSec", "TimeoutStopSec", "MemoryMax"),
        *("TasksMax", "StandardOutput", "StandardError", "SyslogIdentifier"),
    }
    assert {key: value for key, value in found.items() if key not in limits} == (
        applications.CONFINED
    )
    assert limits <= found.keys()


@pytest.mark.parametrize("key", [*applications.CONFINED, "MemoryMax", "TasksMax"])
def test_line_that_is_missing_is_found(tmp_path: Path, key: str) -> None:
    lines = UNIT.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(f"{key}="))
    found = only(check(tmp_path, {PLACE: "\n".join(lines[:at] + lines[at + 1 :])}))
    assert (found.id, found.severity) == ("disk.root-app-confinement", Severity.ERROR)
    assert found.where == f"root-a:/{PLACE}"
    assert found.message.startswith(f"{key}= is ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RootImagePolicy=root=signed", "RootImagePolicy=root=signed+verity"),
        ("RootImagePolicy=root=signed", "RootImagePolicy=root=signed:usr=unprotected"),
        ("RootImagePolicy=root=signed", "RootImagePolicy=root=signed\nRootImagePolicy=*"),
        ("RootImagePolicy=root=signed", "[Unit]\nRootImagePolicy=root=signed\n[Service]"),
        ("RootImagePolicy=root=signed", "#RootImagePolicy=root=signed"),
        ("+/usr/bin/bootseal-app start-check", "-+/usr/bin/bootseal-app start-check"),
        ("NoNewPrivileges=yes", "NoNewPrivileges=no"),
        ("ProtectSystem=strict", "ProtectSystem=full"),
        ("SystemCallFilter=~@privileged @resources", "SystemCallFilter=@privileged"),
        ("CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_SYS_ADMIN"),
        ("UMask=0077", "UMask=0077\nAmbientCapabilities=CAP_SYS_ADMIN"),
        ("UMask=0077", "UMask=0077\nExecStartPost=+/usr/bin/tool"),
        ("UMask=0077", "UMask=0077\nBindPaths=/data"),
        ("MemoryMax=64M", "MemoryMax=infinity"),
    ],
)
def test_line_that_is_weaker_is_found(tmp_path: Path, old: str, new: str) -> None:
    assert old in UNIT
    found = only(check(tmp_path, {PLACE: UNIT.replace(old, new)}))
    assert (found.id, found.severity) == ("disk.root-app-confinement", Severity.ERROR)


@pytest.mark.parametrize(
    "directory",
    [
        "usr/lib/systemd/system/bootseal-app@hello.service.d",
        "usr/lib/systemd/system/bootseal-app@.service.d",
        "etc/systemd/system/bootseal-app@hello-.service.d",
        "etc/systemd/system/bootseal-.service.d",
        "usr/lib/systemd/system/service.d",
        "usr/local/lib/systemd/system/bootseal-app@.service.d",
    ],
)
def test_drop_in_that_changes_more_than_limits_is_found(tmp_path: Path, directory: str) -> None:
    path = f"{directory}/x.conf"
    for line in (
        *("RootImagePolicy=*", "RootImage=/data/x.raw", "RootDirectory=/", "ExecStart=/usr/bin/x"),
        *("User=root", "DynamicUser=no", "MemoryDenyWriteExecute=no", "SystemCallFilter="),
        *("BindPaths=/data", "ExtensionImages=/data/x.raw", "MemoryMax=infinity", "TasksMax="),
    ):
        found = only(check(tmp_path, {PLACE: UNIT, path: f"[Service]\nTasksMax=5\n{line}\n"}))
        assert (found.id, found.severity) == ("disk.root-app-confinement", Severity.ERROR), line
        assert found.where == f"root-a:/{path}"
        assert found.message == f"line 3 sets {line} for applications"
    for line in ("PrivateNetwork=no", "DeviceAllow=/dev/ttyS1", "LimitCORE=infinity"):
        found = only(check(tmp_path, {PLACE: UNIT, path: f"[Service]\n{line}\n"}))
        assert (found.id, found.severity) == ("disk.root-app-confinement", Severity.WARNING), line
    assert check(tmp_path, {PLACE: UNIT, path: "[Unit]\nAfter=x.service\n"}) == []


def test_drop_in_of_other_units_is_not_for_applications(tmp_path: Path) -> None:
    for unit in ("app.service", "bootseal-apps.service", "my-bootseal-app@.service"):
        path = f"usr/lib/systemd/system/{unit}.d/x.conf"
        assert check(tmp_path, {path: "[Service]\nUser=root\n"}) == []


@pytest.mark.parametrize(
    "path",
    [
        "etc/systemd/system/bootseal-app@.service",
        "etc/systemd/system/bootseal-app@hello.service",
        "usr/lib/systemd/system/bootseal-app@hello.service",
    ],
)
def test_unit_in_the_place_of_the_layers_is_found(tmp_path: Path, path: str) -> None:
    for content in (UNIT, "->/usr/lib/systemd/system/other.service", "->/dev/null"):
        found = only(check(tmp_path, {PLACE: UNIT, path: content}))
        assert (found.id, found.where) == ("disk.root-app-confinement", f"root-a:/{path}")
        assert "takes the place of" in found.message
    wanted = "etc/systemd/system/multi-user.target.wants/bootseal-app@hello.service"
    assert check(tmp_path, {PLACE: UNIT, wanted: f"->/{PLACE}"}) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "MINIMUM is missing"),
        ("MINIMUM=1\n", "HEALTH is missing"),
        ("MINIMUM=1\nMINIMUM=2\nHEALTH=5\n", "MINIMUM is given twice"),
        ("MINIMUM=1_2\nHEALTH=5\n", "'MINIMUM=1_2' does not give a version"),
        ("MINIMUM=1\nHEALTH=601\n", "'HEALTH=601' does not give 1 to 600 seconds"),
        ("MINIMUM=1\nHEALTH=5\nUSER=root\n", "'USER=root' is not known: expected MINIMUM and"),
        ("MINIMUM=1\r\nHEALTH=5\n", "does not give a version"),
        (GOOD + "#" * rules.LONGEST, "expected at most 4096"),
        ("->/etc/hello.conf", "it is not a regular file"),
    ],
)
def test_rules_that_the_device_does_not_take_are_found(
    tmp_path: Path, content: str, why: str
) -> None:
    found = only(check(tmp_path, {RULES: content}))
    assert (found.id, found.where) == ("disk.root-app-rules", f"root-a:/{RULES}")
    assert why in found.message
    assert rules.parse(GOOD.encode()) == rules.Rules(minimum="1.2.0", health=5)


@pytest.mark.parametrize("name", ["Hello.conf", "hello", "a_b.conf", ".conf", "a" * 28 + ".conf"])
def test_rules_under_a_name_that_no_application_has_are_found(tmp_path: Path, name: str) -> None:
    found = only(check(tmp_path, {f"usr/lib/bootseal/apps.d/{name}": GOOD}))
    assert found.id == "disk.root-app-rules"
    assert "not that of an application" in found.message


def test_certificate_is_one_for_applications_and_of_their_key(tmp_path: Path) -> None:
    authority = update_samples.keys().root.certificate.public_bytes(Encoding.PEM)
    mine = (fingerprint(),)
    cases: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
        "it is that of a CA": (authority, ()),
        f"it is for the key {fingerprint(2)}: expected {mine[0]}": (pem(2), mine),
        "it has nothing in PEM form": ("text", mine),
        "it has 2 parts in PEM form": (pem() + pem(2), mine),
        "it is not a certificate in PEM form": (pem().replace(b"\nMII", b"\nAAA", 1), mine),
        "it does not lead to a file of the root": ("->/data/x.crt", mine),
    }
    for why, (content, keys) in cases.items():
        for path in (CERTIFICATE, "usr/lib/verity.d/x.crt"):
            found = check(tmp_path, {path: content}, keys)
            assert [each.id for each in found] == ["disk.root-app-certificate"], why
            assert why in found[0].message
    assert check(tmp_path, {CERTIFICATE: pem(2)}) == []
    linked: Files = {CERTIFICATE: "->/usr/share/app.crt", "usr/share/app.crt": pem()}
    assert check(tmp_path, linked, mine) == []
    assert check(tmp_path, {"etc/verity.d/README": "text"}, mine) == []


@pytest.mark.parametrize(
    ("path", "identifier"),
    [
        ("etc/verity.d", "disk.root-app-certificate"),
        ("usr/lib/bootseal/apps.d", "disk.root-app-rules"),
        ("etc/systemd/system", "disk.root-app-confinement"),
        ("etc/systemd/system/bootseal-app@.service.d", "disk.root-app-confinement"),
    ],
)
def test_link_in_the_place_of_a_directory_is_found(
    tmp_path: Path, path: str, identifier: str
) -> None:
    found = only(check(tmp_path, {path: "->/usr/share/other"}))
    assert (found.id, found.message) == (identifier, "it is a link to /usr/share/other")
