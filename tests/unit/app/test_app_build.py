# SPDX-License-Identifier: MIT
"""An application from a directory or a tar layer, the same bytes each time, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests import app_samples as samples
from tests import update_samples

from bootseal.app import build as building
from bootseal.app import contents, stage
from bootseal.assembly import verity as filesystem
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.formats.app import layout
from bootseal.formats.app.release import Release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.tool("mkfs.erofs"), pytest.mark.tool("fsck.erofs")]


def test_same_files_make_the_same_bytes(tmp_path: Path, good: bytes) -> None:
    # In another order, at another time, by another umask.
    directory = tmp_path / "again"
    for part in ("usr/share/hello", "usr/bin"):
        (directory / part).mkdir(parents=True)
    old = samples.tree(tmp_path / "old")
    (directory / "usr/bin/again").symlink_to("hello")
    for part in ("usr/share/hello/data", "usr/bin/hello"):
        (directory / part).write_bytes((old / part).read_bytes())
        (directory / part).chmod((old / part).stat().st_mode)
        os.utime(directory / part, (1, 1))
    mask = os.umask(0o077)
    try:
        image = samples.build(directory, tmp_path / "image")
    finally:
        os.umask(mask)

    assert image.read_bytes() == good


def test_deterministic_signature_of_a_curve_makes_the_same_bytes(
    source: Path, tmp_path: Path
) -> None:
    by = samples.key(1, "ecdsa256")
    first = samples.build(source, tmp_path / "first", by)
    second = samples.build(source, tmp_path / "second", by)

    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("change", ["file", "name", "version", "mode", "time"])
def test_anything_else_makes_another_root_hash(
    source: Path, tmp_path: Path, good: bytes, change: str
) -> None:
    changes: dict[str, object] = {}
    if change == "file":
        (source / "usr/share/hello/data").write_bytes(b"other")
    elif change == "mode":
        (source / "usr/share/hello/data").chmod(0o600)
    elif change == "time":
        changes = {"epoch": samples.EPOCH + 1}
    else:
        said = {"name": samples.NAME, "version": samples.VERSION} | {change: "other"}
        changes = {"release": Release(**said)}

    image = samples.build(source, tmp_path / "image", changes=changes)

    assert samples.signed(image.read_bytes()).root_hash != samples.signed(good).root_hash


def archive(source: Path, **changes: object) -> bytes:
    """Return the files of a directory as a layer, which belong to a user."""

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 1000
        return member

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **changes) as tar:  # type: ignore[call-overload]
        tar.add(source, arcname=".", filter=owned)
    return stream.getvalue()


@pytest.mark.parametrize("form", ["tar", "gz", "zst", "pax"])
def test_layer_makes_the_same_image_as_the_directory(
    source: Path, tmp_path: Path, good: bytes, form: str
) -> None:
    layer = tmp_path / "layer"
    data = archive(source, format=tarfile.PAX_FORMAT if form == "pax" else tarfile.GNU_FORMAT)
    if form == "gz":
        data = gzip.compress(data)
    elif form == "zst":
        data = zstandard.ZstdCompressor().compress(data)
    layer.write_bytes(data)

    assert samples.build(layer, tmp_path / "image").read_bytes() == good


def test_hard_links_stay_one_file(source: Path, tmp_path: Path) -> None:
    alone = samples.build(source, tmp_path / "alone").stat().st_size
    (source / "usr/share/hello/copy").hardlink_to(source / "usr/share/hello/data")
    layer = tmp_path / "layer"
    layer.write_bytes(archive(source))

    linked = samples.build(source, tmp_path / "linked")
    assert linked.stat().st_size - alone < 16384
    assert samples.build(layer, tmp_path / "layered").read_bytes() == linked.read_bytes()
    assert not samples.check(linked).errors


def test_what_the_directory_says_of_itself_stays(source: Path, tmp_path: Path) -> None:
    (source / "usr/lib").mkdir()
    (source / "etc").mkdir()
    (source / "usr/lib/os-release").write_text('ID=mine\nIMAGE_ID="old"\nX=$(reboot)\n')
    (source / "etc/os-release").symlink_to("../usr/lib/os-release")
    target = tmp_path / "stage"
    target.mkdir()

    stage.fill(source, target)
    stage.complete(target, Release(name="new", version="2"), "/usr/bin/hello")

    text = (target / "usr/lib/os-release").read_text()
    assert text == "ID=mine\nX=$(reboot)\nIMAGE_ID=new\nIMAGE_VERSION=2\n"
    assert contents.declared(stage.nodes(target)).release == Release(name="new", version="2")
    assert (source / "usr/lib/os-release").read_text().startswith("ID=mine\nIMAGE_ID")


def _private_key() -> bytes:
    private = update_samples.keys().root.private
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: str, data: bytes = b"x", mode: int = 0o644) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        (root / path).chmod(mode)

    return write


def _socket(root: Path) -> None:
    here = os.getcwd()  # noqa: PTH109 - the name of a socket is short
    os.chdir(root)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
    finally:
        os.chdir(here)


HEAD = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0"


@pytest.mark.parametrize(
    ("change", "error", "why"),
    [
        pytest.param(_write("usr/bin/su", mode=0o4755), VerificationRefused,
                     r"disk\.root-setuid .*chmod|disk\.root-setuid", id="setuid"),
        pytest.param(_write("usr/bin/wall", mode=0o2755), VerificationRefused,
                     r"disk\.root-setuid", id="setgid"),
        pytest.param(_write("usr/share/hello/key", _private_key()), VerificationRefused,
                     r"disk\.root-private-key", id="private key"),
        pytest.param(_write("usr/share/hello/open", mode=0o666), VerificationRefused,
                     r"disk\.root-world-writable", id="writable"),
        pytest.param(_write("etc/machine-id", b"0" * 32), VerificationRefused,
                     r"disk\.root-machine-id", id="machine id"),
        pytest.param(lambda root: (root / "usr/bin/hello").chmod(0o644), VerificationRefused,
                     r"app\.entry .*has mode 0644", id="entry cannot be started"),
        pytest.param(lambda root: (root / "usr/bin/hello").unlink(), VerificationRefused,
                     r"app\.entry .*is not a file in the image", id="no entry"),
        pytest.param(_write("usr/bin/hello", HEAD + b"\x3e\0", 0o755), VerificationRefused,
                     r"app\.entry .*is not a program for arm64", id="entry for x86-64"),
        pytest.param(_write("usr/bin/hello", mode=0o077), FormatError, "may not read it",
                     id="unreadable"),
        pytest.param(lambda root: os.mkfifo(root / "pipe"), FormatError, "/pipe is a device",
                     id="FIFO"),
        pytest.param(_socket, FormatError, "/socket is a device, a FIFO or a socket", id="socket"),
        pytest.param(_write("tmp"), FormatError, "tmp is not a directory", id="no mount point"),
        pytest.param(lambda root: (root / "var").symlink_to("/etc"), FormatError,
                     "/var is not a directory", id="mount point behind a link"),
        pytest.param(lambda root: (root / "usr/lib").symlink_to("/etc"), FormatError,
                     "/usr/lib is not a directory", id="os-release behind a link"),
        pytest.param(_write("etc/os-release"), FormatError, "is a file: expected none",
                     id="two os-releases"),
        pytest.param(_write("usr/lib/bootseal/entry"), FormatError, "already exists",
                     id="entry in the way"),
        pytest.param(lambda root: (root / "usr/lib/os-release/x").mkdir(parents=True), FormatError,
                     "already exists", id="os-release in the way"),
    ],
)  # fmt: skip
def test_what_no_application_may_hold_is_refused(
    source: Path, tmp_path: Path, change: Callable[[Path], None], error: type[Exception], why: str
) -> None:
    change(source)

    with pytest.raises(error, match=why):
        samples.build(source, tmp_path / "image")

    assert not (tmp_path / "image").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"release": Release(name="Hello", version="1")}, "--name is 'Hello'"),
        ({"release": Release(name="../x", version="1")}, "--name is '../x'"),
        ({"release": Release(name="a" * 33, version="1")}, "--name is"),
        ({"release": Release(name="hello", version="1_2")}, "--version is '1_2'"),
        ({"release": Release(name="hello", version="1+3")}, r"--version is '1\+3'"),
        ({"release": Release(name="hello", version="")}, "--version is ''"),
        ({"entry": "hello"}, "--entry is 'hello'"),
        ({"entry": "/usr/../../x"}, "--entry is"),
        ({"entry": "/a\nb"}, "--entry is"),
        ({"epoch": 1 << 32}, "SOURCE_DATE_EPOCH"),
    ],
)
def test_wrong_names_are_refused(
    source: Path, tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        samples.build(source, tmp_path / "image", changes=changes)


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, 0o755
    return made


@pytest.mark.parametrize(
    ("members", "why"),
    [
        pytest.param([member("../x")], "leads out of the archive", id="parent"),
        pytest.param([member("a/../../x")], "leads out of the archive", id="parent inside"),
        pytest.param(
            [member("a", tarfile.SYMTYPE, "/etc"), member("a/passwd")],
            "/a is not a directory",
            id="through a link",
        ),
        pytest.param(
            [member("a", tarfile.SYMTYPE, "/etc"), member("a", tarfile.DIRTYPE)],
            "/a is not a directory",
            id="directory over a link",
        ),
        pytest.param(
            [member("a", tarfile.SYMTYPE, "/etc/passwd"), member("a")],
            "/a already exists",
            id="file over a link",
        ),
        pytest.param(
            [member("a", tarfile.SYMTYPE, "/etc/passwd"), member("b", tarfile.LNKTYPE, "a")],
            "a link to something that is not a file",
            id="hard link to a link",
        ),
        pytest.param(
            [member("b", tarfile.LNKTYPE, "../../etc/passwd")],
            "leads out of the archive",
            id="hard link out",
        ),
        pytest.param(
            [member("b", tarfile.LNKTYPE, "a")], "something that is not a file", id="hard link"
        ),
        pytest.param([member("dev/mem", tarfile.CHRTYPE)], "is a device", id="device"),
        pytest.param([member("disk", tarfile.BLKTYPE)], "is a device", id="disk"),
        pytest.param([member("pipe", tarfile.FIFOTYPE)], "is a device, a FIFO", id="FIFO"),
        pytest.param([member("usr/.wh.bin")], "removes files of another layer", id="whiteout"),
        pytest.param([member(".wh..wh..opq")], "removes files of another layer", id="opaque"),
        pytest.param([member("a"), member("./a")], "/a already exists", id="twice"),
    ],
)
def test_hostile_layer_is_malformed(
    tmp_path: Path, members: list[tarfile.TarInfo], why: str
) -> None:
    layer = tmp_path / "layer"
    with tarfile.open(layer, "w") as tar:
        for each in members:
            tar.addfile(each)
        tar.addfile(member("usr/bin/hello"))

    with pytest.raises(FormatError, match=why):
        samples.build(layer, tmp_path / "image")


def test_damaged_layers_are_malformed(source: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    whole = archive(source)
    packed = gzip.compress(whole)
    zstd = zstandard.ZstdCompressor(write_checksum=True).compress(whole)
    halves = [each[: len(each) // 2] for each in (whole, packed, zstd)]
    # The last ones are the checksum of what was compressed.
    middle = zstd[: len(zstd) // 2] + bytes(16) + zstd[len(zstd) // 2 + 16 :]
    for data in (*halves, packed[:-4] + b"abcd", zstd[:-4] + b"abcd", middle):
        layer.write_bytes(data)
        with pytest.raises(FormatError, match=r"is damaged"):
            samples.build(layer, tmp_path / "image")
    layer.write_bytes(whole + b"more")
    with pytest.raises(FormatError, match="bytes follow the end of the archive"):
        samples.build(layer, tmp_path / "image")


def test_layer_of_too_many_bytes_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MAX_CONTENT", 100_000)
    (tmp_path / "layer").write_bytes(archive(source))

    for each in (source, tmp_path / "layer"):
        with pytest.raises(FormatError, match="has more than"):
            samples.build(each, tmp_path / "image")


def test_image_that_would_be_too_large_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_SIZE", 1 << 19)

    with pytest.raises(FormatError, match="the image would have"):
        samples.build(source, tmp_path / "image")


def test_no_source_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no directory or archive"):
        samples.build(tmp_path / "nothing", tmp_path / "image")
    (tmp_path / "text").write_text("text")
    with pytest.raises(FormatError):
        samples.build(tmp_path / "text", tmp_path / "image")


def at(identifier: str, path: str) -> dict[str, str]:
    return {identifier: f"{layout.ROOT}:/{path}"}


NO_RELEASE = at("app.os-release", stage.OS_RELEASE)


def _link_for_directory(root: Path) -> None:
    (root / "var/tmp").rmdir()
    (root / "var/tmp").symlink_to("/run")


def made_elsewhere(root: Path, image: Path, change: Callable[[Path], None]) -> dict[str, str]:
    """Have an image made and signed without any check of what it holds; return the errors."""
    change(root)
    packed = image.with_suffix(".erofs")
    filesystem.make_erofs(root, packed, epoch=samples.EPOCH)
    seal = samples.signing(samples.key()).partition
    image.write_bytes(b"".join(building.parts(memoryview(packed.read_bytes()), seal)))
    return {each.id: each.where for each in samples.check(image).errors}


@pytest.mark.parametrize(
    ("change", "refusals"),
    [
        pytest.param(lambda _: None, {}, id="good"),
        pytest.param(lambda root: (root / "run").rmdir(), at("app.mount-point", "run"),
                     id="no mount point"),
        pytest.param(_link_for_directory,
                     at("app.mount-point", "var/tmp"), id="a link as mount point"),
        pytest.param(lambda root: (root / stage.OS_RELEASE).unlink(),
                     NO_RELEASE, id="no os-release"),
        pytest.param(_write("etc/os-release", b"IMAGE_ID=a\nIMAGE_VERSION=1\n"),
                     NO_RELEASE, id="two os-releases"),
        pytest.param(_write(stage.OS_RELEASE, b"IMAGE_ID=a\nIMAGE_ID=b\nIMAGE_VERSION=1\n"),
                     NO_RELEASE, id="two names"),
        pytest.param(_write(stage.OS_RELEASE, b"IMAGE_ID=a\n"),
                     NO_RELEASE, id="no version"),
        pytest.param(_write(stage.OS_RELEASE, b"IMAGE_ID=../a\nIMAGE_VERSION=1\n"),
                     NO_RELEASE, id="a path as name"),
        pytest.param(lambda root: (root / stage.ENTRY).unlink(),
                     at("app.entry", stage.ENTRY), id="no entry"),
        pytest.param(_write("usr/bin/su", mode=0o4755),
                     {"disk.root-setuid": f"{layout.ROOT}:/usr/bin"}, id="setuid"),
        pytest.param(lambda root: os.mkfifo(root / "dev/mem"),
                     {"app.device-node": f"{layout.ROOT}:/"}, id="FIFO in /dev"),
    ],
)  # fmt: skip
def test_image_made_elsewhere_is_refused_for_what_it_holds(
    source: Path, tmp_path: Path, change: Callable[[Path], None], refusals: dict[str, str]
) -> None:
    stage.complete(source, Release(name="hello", version="1.0"), samples.ENTRY)

    assert made_elsewhere(source, tmp_path / "image", change) == refusals


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize("place", ["dev/mem", "usr/share/hello/mem"])
def test_device_node_is_refused(source: Path, tmp_path: Path, place: str) -> None:
    stage.complete(source, Release(name="hello", version="1.0"), samples.ENTRY)

    def change(root: Path) -> None:
        os.mknod(root / place, 0o020600, os.makedev(1, 1))

    found = made_elsewhere(source, tmp_path / "image", change)
    assert found == {"app.device-node": f"{layout.ROOT}:/"}
    with pytest.raises(FormatError, match="is a device"):
        samples.build(source, tmp_path / "other")
