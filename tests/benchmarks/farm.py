# SPDX-License-Identifier: MIT
"""What a build farm signs: signatures of one token, requests in batches, disks of many devices.

    python -m tests.benchmarks.farm build/device [--devices N] [--seconds S]

The token is SoftHSM, in this process and in `disk sign-requests`; the keys below the master root
key are those of the device's directory. Each disk is written next to the device and removed again.
Prints seconds that pass, seconds of processor time, and how busy the machine was.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests import samples
from tests.integration.keys import softhsm

from bootseal.firmware.chain import Key
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role
from bootseal.keys.signers import base, offline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.keys.softhsm import Token

KINDS: Final = ("rsa2048", "rsa3072", "rsa4096", "ecdsa256")
BATCHES: Final = (1, 10, 100, 1000)
_COMMAND: Final = (sys.executable, "-c", "from bootseal.cli.app import main; main()")


def say(text: str) -> None:
    """Print a line, and how many processes wanted the processors in the last minute."""
    print(f"{text}; load {os.getloadavg()[0]:.1f}", flush=True)  # noqa: T201


def timed(command: Sequence[str | Path]) -> str:
    """Run a command, and return what it took."""
    start, before = time.monotonic(), os.times()
    subprocess.run([*_COMMAND, *command], check=True, capture_output=True)
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return f"{time.monotonic() - start:.2f} s, processor {used:.2f} s"


def signatures(token: Token, seconds: float) -> None:
    """Sign as fast as it goes in one session; each signature is verified, as always."""
    for kind in KINDS:
        signer = base.open(token.uri(f"object={kind}"), token.access)
        algorithm = Algorithm.parse(f"sha256,{kind}")
        count, start, used = 0, time.monotonic(), time.process_time()
        while time.monotonic() - start < seconds:
            signer.sign_digest(hashlib.sha256(count.to_bytes(8)).digest(), algorithm)
            count += 1
        passed, used = time.monotonic() - start, time.process_time() - used
        say(f"{kind}: {count / passed:.0f} a second, {count / used:.0f} of processor time")


def batches(token: Token, work: Path) -> None:
    """Answer requests for one key, all of a directory in one session."""
    algorithm = Algorithm.parse("sha256,rsa4096")
    key = base.open(token.uri("object=rsa4096"), token.access).public_key
    uri = token.uri("object=rsa4096", f"&pin-source=file:{token.pin_file}")
    for count in BATCHES:
        recorder = offline.Recorder(public_key=key, role="fit")
        for number in range(count):
            recorder.sign_digest(hashlib.sha256(f"{count} {number}".encode()).digest(), algorithm)
        directory = work / f"requests-{count}"
        offline.export(directory, [recorder], "a disk")
        say(f"{count} requests: {timed(('disk', 'sign-requests', directory, '--key', uri))}")


def disks(token: Token, device: Path, work: Path, count: int) -> None:
    """Sign the disk of a device with keys of its own again and again."""
    keys = device / "keys"
    uri = token.uri("object=rsa4096", f"&pin-source=file:{token.pin_file}")
    policy = keys / f"{key_directory.find(keys, Role.POLICY).name}.key"
    options: list[str | Path] = ["--key", uri, "--hint", "farm-1", "--policy-key", policy]
    for role in Key:
        name = key_directory.find(keys, Role(role)).name
        options += ["--firmware-key", f"{role}={keys / name}.key"]
    for number in range(count):
        signed = work / "signed"
        command = ("disk", "sign", device, *options, "--trust", "--profile", "dev", "-o", signed)
        took = timed(command)
        size = sum(each.stat().st_blocks * 512 for each in signed.rglob("*"))
        say(f"disk {number + 1}: {took}, {size / (1 << 20):.0f} MiB")
        shutil.rmtree(signed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("device", type=Path)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    keys = {kind: samples.signer(kind, 500 + n)._private for n, kind in enumerate(KINDS)}
    with tempfile.TemporaryDirectory(dir=options.device.absolute().parent) as name:
        work = Path(name)
        with softhsm.made(work, keys) as token:
            signatures(token, options.seconds)
            batches(token, work)
            disks(token, options.device.absolute(), work, options.devices)


if __name__ == "__main__":
    main()
