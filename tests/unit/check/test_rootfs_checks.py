# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal.check.rootfs import allowlist
from bootseal.check.rootfs import check as rootfs_check
from bootseal.check.rootfs import files as rootfs_files
from bootseal.check.rootfs import keys as rootfs_keys
from bootseal.check.rootfs import programs as rootfs_programs
from bootseal.check.rootfs.allowlist import Allowlist
from bootseal.disk.filesystems.node import Content, Node
from bootseal.errors import FormatError, UsageError
from bootseal.findings.grouped import listed
from bootseal.findings.model import Finding, Severity
from bootseal.formats import elf
from bootseal.keys import certificate, profile, published
from bootseal.keys.algorithms import Algorithm, KeyKind
from bootseal.keys.public import from_crypto

if TYPE_CHECKING:
    from pathlib import Path


def node(tmp_path: Path, path: str, content: bytes = b"", mode: int = 0o100644) -> Node:
    place = tmp_path / path.replace("/", "_")
    place.write_bytes(content)
    found = Content(path=place, offset=0, size=len(content))
    return Node(path=path, mode=mode, uid=0, gid=0, size=len(content), content=found)


def files(nodes: list[Node], *, production: bool = True) -> dict[str, Finding]:
    found = rootfs_files.check(nodes, Allowlist(), "root-a", production=production)
    return {finding.id: finding for finding in found}


@pytest.mark.parametrize(
    ("path", "content", "mode", "expected"),
    [
        ("etc/passwd", b"root::0:0:root:/root:/bin/sh\n", 0o100644, "root-empty-password"),
        ("etc/passwd", b"root:$6$a$b:0:0::/:/bin/sh\n", 0o100644, "root-default-password"),
        ("etc/shadow", b"root:$y$j9T$a$b:19000:0:::::\n", 0o100600, "root-default-password"),
        ("etc/shadow", b"root::19000:0:::::\n", 0o100600, "root-empty-password"),
        ("etc/passwd", b"toor:x:0:0::/:/bin/sh\n", 0o100644, "root-second-root"),
        ("etc/passwd", b"toor:x:00:0::/:/bin/sh\n", 0o100644, "root-second-root"),
        ("etc/machine-id", b"0123456789abcdef0123456789abcdef\n", 0o100444, "root-machine-id"),
        ("etc/ssh/ssh_host_rsa_key", b"key", 0o100600, "root-shared-secret"),
        ("var/lib/systemd/random-seed", b"x", 0o100600, "root-shared-secret"),
        ("root/.ssh/authorized_keys", b"ssh-ed25519 A", 0o100600, "root-authorized-keys"),
        ("usr/lib/bootseal/development", b"", 0o100644, "root-development"),
        ("usr/bin/tool", b"", 0o104755, "root-setuid"),
        ("usr/bin/tool", b"", 0o102755, "root-setuid"),
        ("bin/anything.shadow", b"", 0o104755, "root-setuid"),
        ("usr/bin/deep/inside/sh.util-linux", b"", 0o104755, "root-setuid"),
        ("usr/share/games/ssh-keysign", b"", 0o104755, "root-setuid"),
        ("usr/local/x/dbus-daemon-launch-helper", b"", 0o104755, "root-setuid"),
        ("etc/config", b"", 0o100666, "root-world-writable"),
    ],
)
def test_what_must_not_ship_is_an_error(
    tmp_path: Path, path: str, content: bytes, mode: int, expected: str
) -> None:
    found = files([node(tmp_path, path, content, mode)])

    assert found.keys() == {f"disk.{expected}"}
    assert found[f"disk.{expected}"].severity is Severity.ERROR


@pytest.mark.parametrize(
    ("path", "content", "mode"),
    [
        ("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nd:*:1:1::/:\n", 0o100644),
        ("etc/shadow", b"root:!*:19000:0:::::\ndaemon:*:19000::::::\n", 0o100600),
        ("etc/machine-id", b"", 0o100444),
        ("etc/machine-id", b"uninitialized\n", 0o100444),
        ("usr/bin/su", b"", 0o104755),
        ("root/.ssh/authorized_keys", b"", 0o100600),
    ],
)
def test_what_may_ship_is_no_finding(tmp_path: Path, path: str, content: bytes, mode: int) -> None:
    assert files([node(tmp_path, path, content, mode)]) == {}


def test_sticky_directory_and_link_may_be_open_to_all() -> None:
    nodes = [
        Node(path="tmp", mode=0o041777, uid=0, gid=0, size=0),
        Node(path="l", mode=0o120777, uid=0, gid=0, size=1, target="/"),
    ]

    assert files(nodes) == {}
    assert files([Node(path="srv", mode=0o040777, uid=0, gid=0, size=0)]).keys() == {
        "disk.root-world-writable"
    }


@pytest.mark.parametrize("mode", [0o020666, 0o060600], ids=["character", "block"])
def test_device_is_a_finding_outside_of_dev_only(mode: int) -> None:
    def device(path: str) -> Node:
        return Node(path=path, mode=mode, uid=0, gid=0, size=0)

    found = files([device("usr/lib/.mem"), device("srv/dev/mem"), device("dev/null")])

    assert found.keys() == {"disk.root-device-node"}
    assert found["disk.root-device-node"].severity is Severity.WARNING
    assert files([device("dev/null"), device("dev/block/8:0")]) == {}


@pytest.mark.parametrize(
    ("path", "content", "login"),
    [
        ("etc/passwd", b"root:x:0:0::/root:/bin/sh\n", False),
        ("etc/shadow", b"root:*:1::::::\n", False),
        ("usr/bin/tool", b"", False),
        ("etc/passwd", b"root::0:0::/root:/bin/sh\n", True),
        ("etc/shadow", b"root::1::::::\n", True),
        ("etc/shadow", b"root:$6$salt$hash:1::::::\n", True),
        ("root/.ssh/authorized_keys", b"ssh-ed25519 AAAA\n", True),
        ("usr/lib/bootseal/development", b"", True),
    ],
)
def test_root_that_lets_anyone_log_in_is_told(
    tmp_path: Path, path: str, content: bytes, *, login: bool
) -> None:
    # A finding of another kind does not make it one.
    nodes = [node(tmp_path, path, content), node(tmp_path, "etc/config", b"", 0o100666)]
    assert rootfs_check.offers_login(nodes) is login


def test_development_image_may_hold_its_shell(tmp_path: Path) -> None:
    nodes = [node(tmp_path, "usr/lib/bootseal/development")]

    assert files(nodes, production=False)["disk.root-development"].severity is Severity.INFO


def test_policy_file_adds_to_what_is_allowed(tmp_path: Path) -> None:
    key = from_crypto(certificate.make_private(KeyKind.ECDSA256).public_key())
    (tmp_path / "key.pem").write_bytes(key.pem)
    text = 'setuid = ["/opt/tool"]\nworld-writable = ["srv"]\nmodule-key = "key.pem"\n'
    (tmp_path / "policy.toml").write_text(text)

    policy = allowlist.load(tmp_path / "policy.toml")

    assert allowlist.allows(policy.setuid, "opt/tool")
    assert allowlist.allows(policy.setuid, "usr/bin/su")
    assert allowlist.allows(policy.setuid, "usr/lib/openssh/ssh-keysign")
    assert allowlist.allows(policy.setuid, "bin/mount.util-linux")
    # OpenEmbedded splits busybox, so that its shell is not setuid.
    assert allowlist.allows(policy.setuid, "usr/bin/busybox.suid")
    assert not allowlist.allows(policy.setuid, "usr/bin/busybox")
    assert policy.module_key == key
    found = rootfs_files.check(
        [node(tmp_path, "opt/tool", mode=0o104755), node(tmp_path, "srv", mode=0o100666)],
        policy,
        "root-a",
        production=True,
    )
    assert list(found) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("setuids = []", "has 'setuids'"),
        ("setuid = 5", "not a list of patterns"),
        ("= x", "is not TOML"),
        (f"setuid = {'[' * 3000}", "is not TOML"),
        ("module-key = 5", "not a file name"),
        ('module-key = "none.pem"', "there is no module key"),
    ],
)
def test_policy_file_is_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "policy.toml").write_text(text)

    with pytest.raises(UsageError, match=message):
        allowlist.load(tmp_path / "policy.toml")


def private_pem() -> tuple[bytes, str]:
    key = certificate.make_private(KeyKind.ECDSA256)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, from_crypto(key.public_key()).fingerprint()


def key_findings(tmp_path: Path, path: str, content: bytes) -> list[tuple[str, Severity]]:
    found = rootfs_keys.check([node(tmp_path, path, content)], Allowlist(), "root-a")
    return [(finding.id, finding.severity) for finding in found]


def test_published_private_key_is_an_error_unless_a_library_tests_itself_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem, fingerprint = private_pem()
    monkeypatch.setattr(published, "_origins", lambda: {fingerprint: "Library, self-test"})

    assert key_findings(tmp_path, "etc/key.pem", pem) == [("disk.root-private-key", Severity.ERROR)]
    assert key_findings(tmp_path, "usr/lib/lib.so", elf.MAGIC + pem) == [
        ("disk.root-self-test-key", Severity.INFO)
    ]


def test_own_private_key_in_a_library_is_an_error(tmp_path: Path) -> None:
    pem, _ = private_pem()

    assert key_findings(tmp_path, "usr/lib/lib.so", elf.MAGIC + pem) == [
        ("disk.root-private-key", Severity.ERROR)
    ]


def certificate_pem(common_name: str) -> bytes:
    declared = profile.load(profile.find("dev")).keys
    root = next(spec for spec in declared if spec.role is profile.Role.ROOT)
    spec = replace(root, algorithm=Algorithm.parse("sha256,ecdsa256"), subject=f"CN={common_name}")
    return certificate.issue(spec, None).certificate.public_bytes(Encoding.PEM)


def test_certificate_of_a_development_key_is_an_error_unless_the_device_is_for_development(
    tmp_path: Path,
) -> None:
    content = b"# what signs updates\n" + certificate_pem("DEV update signing CA")
    update_ca = node(tmp_path, "usr/lib/bootseal/update-ca.crt", content)

    (found,) = rootfs_keys.check([update_ca], Allowlist(), "root-a")

    assert (found.id, found.severity) == ("disk.root-development-certificate", Severity.ERROR)
    assert found.where == "root-a:/usr/lib/bootseal/update-ca.crt"
    assert "'DEV update signing CA', at byte 21" in found.message
    assert list(rootfs_keys.check([update_ca], Allowlist(), "root-a", development=True)) == []


@pytest.mark.parametrize("name", ["Acme update signing CA", "DEVON Ltd updates"])
def test_certificate_of_any_other_key_is_accepted(tmp_path: Path, name: str) -> None:
    assert key_findings(tmp_path, "etc/ca.pem", certificate_pem(name)) == []


def segment(kind: int, flags: int, *, offset: int = 0, address: int = 0, size: int = 0) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, 8)


def program(
    *, stack: int = 6, load: int = 5, tags: tuple[tuple[int, int], ...] = (), strings: bytes = b""
) -> bytes:
    """A position independent program with PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO and PT_DYNAMIC."""
    count, base = 5, 64 + 5 * 56
    table = [*tags, (5, base + 400), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in table)
    total = base + 400 + len(strings)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        elf.MAGIC + bytes([2, 1, 1]),
        *(3, 183, 1, 0, 64, 0xFFFFFFFFFFFF, 0, 64, 56, count, 64, 0xFFFF, 0xFFFF),
    )
    segments = [
        segment(1, load, size=total),
        segment(3, 4),
        segment(0x6474E551, stack),
        segment(0x6474E552, 4),
        segment(2, 6, offset=base, address=base, size=len(dynamic)),
    ]
    return (header + b"".join(segments) + dynamic).ljust(base + 400, b"\0") + strings


GOOD = ((24, 0), (0x6FFFFFFB, 0x08000001))
STRINGS = b"\0__stack_chk_fail\0memcpy\0__memcpy_chk\0"


def found_in(raw: bytes) -> set[str]:
    found = elf.parse(raw)
    assert found is not None
    return set(rootfs_programs.weaknesses(found))


def test_hardened_program_is_no_finding() -> None:
    assert found_in(program(tags=GOOD, strings=STRINGS)) == set()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (program(tags=GOOD, strings=STRINGS, stack=7), "disk.elf-stack"),
        (program(tags=GOOD, strings=STRINGS, load=7), "disk.elf-writable-code"),
        (program(tags=(), strings=STRINGS), "disk.elf-bind-now"),
        (program(tags=(*GOOD, (22, 0)), strings=STRINGS), "disk.elf-text-relocations"),
        (program(tags=GOOD, strings=b"\0memcpy\0__memcpy_chk\0"), "disk.elf-canary"),
        (program(tags=GOOD, strings=b"\0__stack_chk_fail\0memcpy\0"), "disk.elf-fortify"),
        (program(tags=(*GOOD, (29, 38)), strings=STRINGS + b"/tmp/lib\0"), "disk.elf-search-path"),
        (program(tags=(*GOOD, (15, 38)), strings=STRINGS + b"/usr/lib:\0"), "disk.elf-search-path"),
    ],
)
def test_each_weakness_is_named(raw: bytes, expected: str) -> None:
    assert found_in(raw) == {expected}


def test_damaged_program_is_a_format_error(tmp_path: Path) -> None:
    raw = program(tags=GOOD, strings=STRINGS)
    endless = bytearray(raw)
    endless[64 + 4 * 56 + 32 : 64 + 4 * 56 + 40] = (32).to_bytes(8, "little")

    for bad in (raw[:40], raw[:100], bytes(endless), elf.MAGIC + b"\xff" * 60):
        with pytest.raises(FormatError, match="ELF file"):
            elf.parse(bad)
        found = rootfs_programs.check([node(tmp_path, "usr/bin/x", bad)], Allowlist(), "root-a")
        assert [finding.id for finding in found] == ["disk.elf-damaged"]


def test_many_files_are_one_finding(tmp_path: Path) -> None:
    nodes = [node(tmp_path, f"usr/lib/m/{n}.ko", b"module") for n in range(50)]

    (found,) = rootfs_programs.check(nodes, Allowlist(), "root-a")

    assert (found.id, found.where) == ("disk.module-unsigned", "root-a:/usr/lib/m")
    assert "50 files: usr/lib/m/0.ko" in found.message
    assert listed(["a"]) == "a"


def test_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    content = Content(path=tmp_path / "link", offset=0, size=4)

    with pytest.raises(FormatError, match="was not extracted"):
        content.read(4)
