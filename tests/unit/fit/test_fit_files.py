# SPDX-License-Identifier: MIT
"""Files appear complete or not at all, also when the process is killed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from bootseal import files
from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.fit.sign import Request, SigningKey, sign_file
from bootseal.fit.verify.strictness import STRICT
from bootseal.fit.verify.verdict import verify
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from bootseal.keys.signers.file import FileSigner


def test_mapped_file_is_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "empty").touch()
    with files.mapped(tmp_path / "file") as view:
        assert (bytes(view), view.readonly) == (b"content", True)
    with files.mapped(tmp_path / "empty") as view:
        assert bytes(view) == b""


def test_pipe_is_read_unless_it_may_have_no_writer(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"content\n")
    os.close(writer)
    with files.mapped(Path(f"/dev/fd/{reader}")) as view:
        assert bytes(view) == b"content\n"
    os.close(reader)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for read in (files.mapped, files.private, files.opened):
        with pytest.raises(UsageError, match="pipe is a FIFO: expected a file"), read(pipe):
            pass


def test_small_file_is_read_within_its_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 1 << 40)
    (tmp_path / "loop").symlink_to("loop")

    assert files.read_bounded(tmp_path / "file", limit=7) == b"content"
    for name, limit in (("file", 6), ("sparse", files.SMALL)):
        with pytest.raises(FormatError, match=r"has more than .*, the most that is read of it"):
            files.read_bounded(tmp_path / name, limit=limit)
    for path in (Path("/dev/zero"), Path("a\0b"), Path("\ud800")):
        with pytest.raises(UsageError, match=r"expected a file|cannot be the name of a file"):
            files.read_bounded(path)
    with pytest.raises(IsADirectoryError):
        files.read_bounded(tmp_path)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        files.read_bounded(tmp_path / "loop")
    with pytest.raises(UsageError, match="there is no directory"):
        files.write_file(tmp_path / "loop" / "file", b"x")


def test_private_view_changes_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "empty").touch()
    with files.private(tmp_path / "file") as view:
        view[0] = 0
        assert bytes(view) == b"\0ontent"
    with files.private(tmp_path / "empty") as view:
        assert len(view) == 0
    assert (tmp_path / "file").read_bytes() == b"content"


def test_new_file_gets_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.touch(mode=0o640)
    (tmp_path / "usual").touch()
    files.write_file(old, b"x")
    files.write_file(tmp_path / "new", b"x")
    files.write_new(tmp_path / "newer", b"x")
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("old", "new", "newer", "usual")]
    assert modes == [0o640, modes[3], modes[3], modes[3]]


def test_secret_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    files.write_file(tmp_path / "written", b"x", mode=0o600)
    files.write_new(tmp_path / "new", b"x", mode=0o600)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling"):
        with pytest.raises(UsageError, match="exists and is not overwritten"):
            files.write_new(tmp_path / name, b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    """As root, a rename would put a file in the place of a device such as /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(UsageError, match="is not a regular file"):
            files.write_file(path, b"x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_missing_directory_is_named(tmp_path: Path) -> None:
    for write in (files.write_file, files.write_new):
        with pytest.raises(UsageError, match=f"there is no directory {tmp_path}/none"):
            write(tmp_path / "none/file", b"x")


def test_refused_content_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def check(view: memoryview) -> None:
        assert bytes(view) == b"one two"
        message = "no"
        raise VerificationRefused(message)

    with pytest.raises(VerificationRefused):
        files.write_parts(tmp_path / "file", [b"one ", b"two"], check=check)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_file_is_signed_in_place(
    tmp_path: Path, unsigned: bytes, signer: FileSigner, control: bytes, signed: bytes
) -> None:
    path = tmp_path / "fit.itb"
    path.write_bytes(unsigned)
    keys = [SigningKey(signer=signer, hint="dev")]
    sign_file(path, path, Request(keys=keys, timestamp=1_700_000_001, strictness=STRICT))
    assert path.read_bytes() == signed
    verify(path.read_bytes(), control)


def test_refused_fit_is_left_alone(tmp_path: Path, unsigned: bytes, signer: FileSigner) -> None:
    def change(root: fdt.Node) -> None:
        kernel = root.find("/images/kernel-1")
        assert kernel is not None
        kernel.properties["data"] = b"evil"

    path = tmp_path / "fit.itb"
    path.write_bytes(evil := fdt.rewrite(unsigned, change))
    request = Request(keys=[SigningKey(signer=signer, hint="dev")], timestamp=0)
    with pytest.raises(VerificationRefused, match=r"fit\.image-hash"):
        sign_file(path, path, request)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("fit.itb", evil)]


# One interpreter forks a writer for each moment of death, as starting one takes far longer.
_KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import WRITER

moments = random.Random(int(sys.argv[1]))
for round in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        number = 0
        while True:
            number += 1
            write(number)
    time.sleep(moments.random() / 25)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    check()
"""

_PARTS = """
from bootseal.files import write_parts

target, size = Path(sys.argv[3]), 65536
contents = [bytes([number]) * size * 16 for number in range(2)]

def write(number):
    write_parts(target, [contents[number % 2][:size]] * 16)

def check():
    assert target.read_bytes() in contents
"""

_SIGNED = """
from bootseal.fit.sign import Request, SigningKey, sign_file
from bootseal.fit.verify.verdict import verify
from bootseal.keys.signers.file import FileSigner

target, control = Path(sys.argv[3]), Path(sys.argv[4]).read_bytes()
keys = [SigningKey(signer=FileSigner.load(Path(sys.argv[5])), hint="dev")]

def write(number):
    sign_file(target, target, Request(keys=keys, timestamp=number))

def check():
    verify(target.read_bytes(), control)
"""


def kill_writers(writer: str, rounds: int, *paths: Path) -> None:
    script = _KILLED.replace("import WRITER\n", writer)
    arguments = ["7", str(rounds), *map(str, paths)]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True)


def test_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(bytes(1 << 20))
    kill_writers(_PARTS, 60, target)
    assert target.read_bytes()[:1] * (1 << 20) == target.read_bytes()


def test_killed_signer_leaves_a_fit_that_verifies(
    tmp_path: Path, signed: bytes, signer: FileSigner, control: bytes
) -> None:
    fit, tree, key = (tmp_path / name for name in ("fit.itb", "control.dtb", "key.pem"))
    fit.write_bytes(signed)
    tree.write_bytes(control)
    key.touch(mode=0o600)
    key.write_bytes(
        signer._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    kill_writers(_SIGNED, 40, fit, tree, key)
    verify(fit.read_bytes(), control)
