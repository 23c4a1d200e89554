# SPDX-License-Identifier: MIT
"""The device's check of applications, on real images, in the shells that a device may have.

The partition table is read, the file system unpacked, and every block verified by veritysetup, as
on a device.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests import app_samples as samples
from tests.integration.layer.app_device import RULES, Device

from bootseal.errors import FormatError
from bootseal.formats.app import rules as release_rules
from bootseal.formats.app.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    *(pytest.mark.tool(tool) for tool in ("busybox", "fsck.erofs", "mkfs.erofs", "veritysetup")),
    pytest.mark.tool("systemd-analyze"),
]

SHELLS = [["dash"], ["busybox", "sh"]]
HASH = "c0" * 32


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("app")
    return samples.build(samples.tree(directory / "root"), directory / "image").read_bytes()


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def device(tmp_path: Path, request: pytest.FixtureRequest, good: bytes) -> Device:
    return Device(tmp_path, request.param, good)


HOSTILE_NAMES = [
    *("", ".", "..", "../hello", "/hello", "Hello", "1hello", "-h", "_x", "a_b", "a.b", "a b"),
    *("a\nb", "*", "hello*", "[h]ello", "$(id)", "`id`", "a;id", "\x1b[2J", "h\xe9", "a" * 28),
]


@pytest.mark.parametrize("verb", ["rules", "start-check", "verify"])
def test_what_is_no_name_is_refused_as_one(device: Device, verb: str) -> None:
    for name in HOSTILE_NAMES:
        words = [verb, name, device.put()] if verb == "verify" else [verb, name]
        why = device.refused(*words)
        assert why.endswith("is not the name of an application"), (name, why)
    assert not device.report.exists()


def test_usage(device: Device) -> None:
    for words in ([], ["rules"], ["rules", "hello", "x"], ["verify", "hello"], ["run", "hello"]):
        done = device.run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("usage: ")


def test_rules_of_the_release_are_told(device: Device) -> None:
    name = "a" * 27
    said = "# comment\n\nHEALTH=600\nMINIMUM=1.2-rc.1"
    device.allow(said, name)
    done = device.run("rules", name)
    assert release_rules.parse(said.encode()) == Rules(minimum="1.2-rc.1", health=600)
    assert (done.returncode, done.stdout) == (0, "minimum=1.2-rc.1\nhealth=600\n")


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("", "does not give MINIMUM"),
        ("MINIMUM=1\n", "does not give HEALTH"),
        ("HEALTH=5\n", "does not give MINIMUM"),
        ("MINIMUM=1\nMINIMUM=1\nHEALTH=5\n", "gives MINIMUM twice"),
        ("MINIMUM=1\nHEALTH=5\nHEALTH=5\n", "gives HEALTH twice"),
        ("MINIMUM=\nHEALTH=5\n", "'MINIMUM=' does not give a version"),
        ("MINIMUM=1_2\nHEALTH=5\n", "'MINIMUM=1_2' does not give a version"),
        ("MINIMUM=1~rc\nHEALTH=5\n", "'MINIMUM=1~rc' does not give a version"),
        ("MINIMUM=$(id)\nHEALTH=5\n", "'MINIMUM=$(id)' does not give a version"),
        (f"MINIMUM={'1' * 33}\nHEALTH=5\n", "does not give a version"),
        ("MINIMUM=1 \nHEALTH=5\n", "'MINIMUM=1 ' does not give a version"),
        ("MINIMUM=1\r\nHEALTH=5\n", "'MINIMUM=1?' does not give a version"),
        *(
            (f"MINIMUM=1\nHEALTH={health}\n", f"'HEALTH={health}' does not give 1 to 600 seconds")
            for health in ("", "0", "05", "601", "1000", "-1", "5s", "0x5", "1 2")
        ),
        ("MINIMUM=1\nHEALTH=5\nNETWORK=yes\n", "'NETWORK=yes' is not known"),
        (" MINIMUM=1\nHEALTH=5\n", "' MINIMUM=1' is not known"),
        ("minimum=1\nHEALTH=5\n", "'minimum=1' is not known"),
        ("MINIMUM=1\nHEALTH=5\n#" + "x" * 4096, "is too long"),
    ],
)
def test_rules_of_another_form_are_refused(device: Device, rules: str, why: str) -> None:
    device.allow(rules)
    assert device.refused("rules", "hello").endswith(why)
    with pytest.raises(FormatError):
        release_rules.parse(rules.encode())


def test_application_that_the_release_does_not_name_is_refused(device: Device) -> None:
    image = device.put()
    for words in (["rules", "other"], ["verify", "other", image], ["start-check", "other"]):
        assert device.refused(*words) == "the release has no application other"
    (device.library / "apps.d/hello.conf").unlink()
    (device.library / "apps.d/hello.conf").mkdir()
    assert device.refused("verify", "hello", image) == "the release has no application hello"


def test_good_image_is_accepted_and_told(device: Device) -> None:
    image = device.put()
    told = f"version=1.0\nroot-hash={device.root_hash}\n"
    done = device.run("verify", "hello", image)
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")

    done = device.run("start-check", "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (device.report / "hello").read_text() == f"1.0 {device.root_hash}\n"
    assert list((device.root / "tmp").iterdir()) == []


def a_link(path: Path, good: Path) -> None:
    path.symlink_to(good)


def a_fifo(path: Path, good: Path) -> None:
    del good
    os.mkfifo(path)


def a_directory(path: Path, good: Path) -> None:
    del good
    path.mkdir()


def a_device(path: Path, good: Path) -> None:
    del good
    if os.getuid() != 0:
        pytest.skip("only root makes device nodes")
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.mark.parametrize("put", [a_link, a_fifo, a_directory, a_device])
def test_what_is_no_regular_file_is_not_an_image(
    device: Device, put: Callable[[Path, Path], None]
) -> None:
    good = device.put()
    put(device.place / "hello_2_arm64.raw", good)
    for path in (device.place / "hello_2_arm64.raw", Path("/dev/null"), device.root / "nothing"):
        assert device.refused("verify", "hello", path) == "the image is not a regular file"
    assert device.refused_at_start() == "the image is not a regular file"


def test_link_that_leads_nowhere_is_not_passed_over(device: Device) -> None:
    device.put()
    (device.place / "hello_2_arm64.raw").symlink_to("nowhere")
    assert device.refused_at_start() == "none of the images of hello can be taken"


def test_other_form_than_that_of_an_image_is_refused(device: Device) -> None:
    good = device.good
    files, tree, signature = samples.entries(good)
    last = replace(signature, number=4, name="more", offset=signature.end - 4096, size=4096)
    other = replace(files, type=tree.type)
    partitions = "the image has other partitions than a root, its tree and its signature"
    table = "the image has no partition table"
    cases = {
        "the image has 0 bytes": [b""],
        "the image has 49151 bytes": [good[:49151]],
        table: [
            bytes(len(good)),
            # Signature, revision, size of the header, place, number and size of the entries.
            *(samples.changed(good, 512 + at) for at in (0, 7, 8, 11, 12, 72, 80, 84, 87)),
        ],
        partitions: [
            samples.retabled(good, [other, tree, signature]),
            samples.retabled(good, [replace(tree, number=1), replace(files, number=2), signature]),
            samples.retabled(good, [files, tree]),
        ],
        "the image has more partitions than a root, its tree and its signature": [
            samples.retabled(
                good, [files, tree, replace(signature, size=signature.size - 4096), last]
            ),
            samples.changed(good, 1024 + 127 * 128),
        ],
    }
    for why, images in cases.items():
        for number, image in enumerate(images):
            found = device.refused("verify", "hello", device.put(content=image))
            assert found == why, (why, number)
            assert device.refused_at_start() == why, (why, number)

    path = device.put()
    os.truncate(path, 8589934593)
    assert device.refused("verify", "hello", path) == "the image has 8589934593 bytes"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("Required key not available", "no certificate in /etc/verity.d signed the image"),
        ("No data available", "the image is not signed"),
        ("Operation not possible due to RF-kill", "the image is not signed"),
        ("Input/output error", "the root of the image is not the one that was signed"),
        (
            "Address family not supported by protocol",
            "the root of the image is not the one that was signed",
        ),
        ("Timer expired", "systemd does not mount the image: Timer expired"),
        ("\x1b[2J\x07" + "x" * 500, "systemd does not mount the image: ?[2J?" + "x" * 161),
    ],
)
def test_image_that_systemd_does_not_mount_is_refused_for_its_reason(
    device: Device, said: str, why: str
) -> None:
    image = device.put()
    device.says(said)
    assert device.refused("verify", "hello", image) == why
    assert device.refused_at_start() == why


def test_image_that_takes_too_long_is_refused(device: Device) -> None:
    device.says("x")
    (device.root / "systemd-says").write_text("x.service: Failed with result 'timeout'.\n")
    image = device.put()
    assert device.refused("verify", "hello", image) == "looking at the image took too long"
    assert device.refused_at_start() == "looking at the image took too long"


def test_image_that_nothing_looked_at_is_refused_for_what_is_known(device: Device) -> None:
    image = device.put()
    (device.root / "systemd-says").write_text("x.service: Failed with result 'signal'.\n")
    why = device.refused("verify", "hello", image)
    assert why.startswith("nothing looked at the image to its end: see journalctl -b -u bootseal-")

    device.tool("systemd-run", "printf 'Failed to connect to bus: \\033[2J' >&2; exit 1")
    why = "nothing looked at the image to its end: Failed to connect to bus: ?[2J"
    assert device.refused("verify", "hello", image) == why
    device.tool("journalctl", "exit 1")
    assert device.refused_at_start() == why


def test_changed_block_is_found_before_an_image_is_installed(device: Device) -> None:
    """The file system is unpacked all the same: it is veritysetup that finds the block."""
    files, tree, _ = samples.entries(device.good)
    last = files.offset + device.blocks * 4096 - 1
    for at in (last, tree.offset + 4096):
        image = device.put(content=samples.changed(device.good, at))
        why = device.refused("verify", "hello", image)
        assert why == "a block of the image is not the one that was signed"


def test_what_the_kernel_says_of_the_mount_counts(device: Device) -> None:
    image = device.put()
    device.table(kind="linear")
    assert device.refused("verify", "hello", image) == (
        "the root of the image is not read through dm-verity"
    )
    device.table(root_hash="zz" * 32)
    assert device.refused_at_start() == "the root hash of the image is malformed"
    device.table(root_hash="00")
    assert device.refused_at_start() == "the root hash of the image is malformed"
    device.tool("mountpoint", "exit 1")
    assert device.refused_at_start() == "the image is not mounted"


def test_tree_of_another_part_of_the_root_is_refused(device: Device) -> None:
    device.table(blocks=1)
    why = device.refused("verify", "hello", device.put())
    assert why == "the tree is for another part of the root"


RELEASE = "usr/lib/os-release"
NONE_OR_MORE = "/usr/lib/os-release of the image does not give IMAGE_ID and IMAGE_VERSION once"


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"x": ""}, "the image has no /usr/lib/os-release"),
        ({"usr": "->/etc"}, "/usr of the image is a link"),
        ({"usr/x": "", "usr/lib": "->../etc"}, "/usr/lib of the image is a link"),
        ({RELEASE: "->/etc/os-release"}, "/usr/lib/os-release of the image is a link"),
        ({RELEASE: ""}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=hello\n"}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.0\nIMAGE_ID=hello\n"}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.0\nIMAGE_VERSION=2\n"}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.0\x1b[2J\n"}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.0 complete\n"}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.0~1\n"}, NONE_OR_MORE),
        ({RELEASE: "IMAGE_ID=Hello\nIMAGE_VERSION=1.0\n"}, NONE_OR_MORE),
        ({RELEASE: f"{'#' * 65536}\nIMAGE_ID=hello\nIMAGE_VERSION=1.0\n"}, NONE_OR_MORE),
        (
            {RELEASE: f"IMAGE_ID={'h' * 28}\nIMAGE_VERSION=1.0\n"},
            "the image has no name of an application as IMAGE_ID",
        ),
        (
            {RELEASE: f"IMAGE_ID=hello\nIMAGE_VERSION={'1' * 33}\n"},
            "the image has no version as IMAGE_VERSION",
        ),
        (
            {RELEASE: "IMAGE_ID=other\nIMAGE_VERSION='1.0'\n"},
            "the image is the application other, not hello",
        ),
        (
            {RELEASE: 'IMAGE_ID="hello"\nIMAGE_VERSION=0.9\n'},
            "version 0.9 is below 1.0, the lowest that the release allows",
        ),
    ],
)
def test_what_an_image_says_of_itself_has_one_form(
    device: Device, files: dict[str, str], why: str
) -> None:
    device.holds(files)
    assert device.refused("verify", "hello", device.put()) == why
    assert device.refused_at_start() == why


def test_lowest_version_is_that_of_the_release_and_in_the_order_of_versions(
    device: Device,
) -> None:
    """What ran with one release does not with the next one, which raises the lowest version."""
    device.holds({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.9\n"})
    image = device.put("hello_1.9_arm64.raw")
    for minimum, accepted in (("1.0", True), ("1.9", True), ("1.10", False), ("2", False)):
        device.allow(f"MINIMUM={minimum}\nHEALTH=5\n")
        if accepted:
            assert device.run("start-check", "hello").returncode == 0
            assert device.run("verify", "hello", image).returncode == 0
            continue
        why = f"version 1.9 is below {minimum}, the lowest that the release allows"
        assert device.refused_at_start() == why
        assert device.refused("verify", "hello", image) == why


def test_newest_image_is_the_one_that_is_checked(device: Device) -> None:
    for version in ("0.9", "1.9", "1.10"):
        device.put(f"hello_{version}_arm64.raw")
    device.holds({RELEASE: "IMAGE_ID=hello\nIMAGE_VERSION=1.10\n"})
    assert device.run("start-check", "hello").returncode == 0
    assert (device.report / "hello").read_text() == f"1.10 {device.root_hash}\n"

    device.put("hello_1.11_arm64.raw")
    why = f"{device.place}/hello_1.11_arm64.raw holds version 1.10"
    assert device.refused("start-check", "hello") == why[:200]


@pytest.mark.parametrize(
    "name",
    [
        "hello_2.raw",
        "hello_2_arm64+3-0.raw",
        "hello_2+1_arm64.raw",
        "hello_2,1_arm64.raw",
    ],
)
def test_name_of_another_form_is_refused(device: Device, name: str) -> None:
    path = device.put(name)
    assert device.refused_at_start() == f"the newest image is called {path}"[:200]


def test_name_without_a_version_is_not_taken(device: Device) -> None:
    device.put("hello.raw")
    assert device.refused_at_start() == "none of the images of hello can be taken"


@pytest.mark.parametrize("which", ["apps", "images"])
@pytest.mark.parametrize("kind", ["missing", "file", "link", "group", "all", "sticky"])
def test_directory_that_is_not_roots_alone_is_refused(
    device: Device, which: str, kind: str
) -> None:
    device.put()
    place = device.apps if which == "apps" else device.place
    why = f"{place} is not a directory"
    if kind in {"missing", "file", "link"}:
        place.rename(device.root / "elsewhere")
        if kind == "file":
            place.touch()
        elif kind == "link":
            place.symlink_to(device.root / "elsewhere")
    else:
        place.chmod({"group": 0o770, "all": 0o707, "sticky": 0o1777}[kind])
        why = f"others than root can write to {place}"
    assert device.refused_at_start() == why[:200]


def test_directory_of_another_owner_is_refused(device: Device) -> None:
    device.put()
    script = device.root / "bootseal-app"
    mine = f"{os.getuid()}\\ d"
    assert mine in script.read_text()
    script.write_text(script.read_text().replace(mine, f"{os.getuid() + 1}\\ d"))
    assert device.refused_at_start() == f"others than root can write to {device.apps}"[:200]


def test_path_of_an_image_is_one_that_systemd_takes_as_it_is(device: Device) -> None:
    for name in ("a:b", "a b", "a%i", "a\nb", "a*"):
        path = device.put(name)
        assert device.refused("verify", "hello", path) == (
            "the path of the image has other characters than a name"
        )
    device.put()
    relative = os.path.relpath(device.place / "hello_1.0_arm64.raw", device.root)
    assert device.refused("verify", "hello", relative).startswith("the path of the image has")


def test_only_what_is_installed_and_named_by_the_release_is_started(device: Device) -> None:
    for name in ("hello", "world", *HOSTILE_NAMES[3:]):
        if "/" not in name and "\n" not in name:
            device.allow(name=name)
            (device.apps / f"{name}.raw.v").mkdir(exist_ok=True)
    (device.apps / "world.raw.v").rmdir()
    (device.apps / "other.raw.v").mkdir()
    (device.library / "apps.d/a\nb.conf").write_text(RULES)
    assert device.run("start").returncode == 0
    assert (device.root / "calls").read_text() == "start bootseal-app@hello.service\n"

    (device.root / "calls").unlink()
    device.place.rmdir()
    assert device.run("start").returncode == 0
    assert not (device.root / "calls").exists()


def test_status_names_what_the_kernel_says(device: Device) -> None:
    assert device.status("inactive") == "hello - - not installed"
    device.put()
    assert device.run("start-check", "hello").returncode == 0
    known = f"hello 1.0 {device.root_hash}"
    assert device.status("active", os.getpid()) == f"{known} running"
    device.table(root_hash=HASH)
    other = f"{known} failed: another image runs than was checked"
    assert device.status("active", os.getpid()) == other
    device.table(kind="linear")
    assert device.status("active", os.getpid()) == other
    assert device.status("active", 0) == other
    assert device.status("failed") == f"{known} failed: signal"
    assert device.status("activating") == f"{known} failed: activating"
    assert device.status("inactive") == f"{known} failed: it has ended"


def test_status_has_a_line_for_each_name_of_the_release_and_no_other(device: Device) -> None:
    (device.root / "shown").write_text("ActiveState=inactive\n")
    device.allow(name="world")
    for name in ("World", "a b", "$(id)", "\x1b[2J", "a\nhello - - running", "-x", "w*"):
        (device.library / "apps.d" / f"{name}.conf").write_text(RULES)
        (device.apps / f"{name}.raw.v").mkdir()
    done = device.run("status")
    assert done.stdout == "hello - - not installed\nworld - - not installed\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_reason_of_a_refusal_ends_with_the_next_good_start(device: Device) -> None:
    device.put(content=b"")
    assert device.refused_at_start() == "the image has 0 bytes"
    device.put()
    assert device.run("start-check", "hello").returncode == 0
    assert device.status("inactive").endswith("failed: it has ended")
