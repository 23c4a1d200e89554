# SPDX-License-Identifier: MIT
"""Keys that are not files: in a SoftHSM token, or in moto's KMS; for commands in processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
from tests import samples
from tests.integration import cloud
from tests.integration.keys import softhsm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BACKENDS: Final = ("softhsm", "kms")
_AWS: Final = {
    "rsa2048": "RSA_2048",
    "rsa3072": "RSA_3072",
    "rsa4096": "RSA_4096",
    "ecdsa256": "ECC_NIST_P256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """Kinds and URIs of keys by their names, and SHA-256 of their public halves in DER form."""

    kinds: Mapping[str, str]
    uris: dict[str, str]
    hashes: dict[str, str]


@contextmanager
def opened(backend: str, kinds: Mapping[str, str], directory: Path) -> Iterator[Vault]:
    """Make a key of its kind for each name; until the context ends, the environment leads there.

    Args:
        backend: `softhsm` or `kms`.
        kinds: The kinds by name.
        directory: Where the token is.
    """
    if backend == "kms":
        specs = {name: _AWS[kind] for name, kind in kinds.items()}
        with cloud.credentials() as patch, cloud.keys(patch, specs) as arns:
            client = boto3.client("kms")
            answers = {n: client.get_public_key(KeyId=arn) for n, arn in arns.items()}
            halves = {name: each["PublicKey"] for name, each in answers.items()}
            hashes = {name: hashlib.sha256(half).hexdigest() for name, half in halves.items()}
            yield Vault(kinds=kinds, uris=arns, hashes=hashes)
        return
    keys = {name: samples.signer(kind, number) for number, (name, kind) in enumerate(kinds.items())}
    with softhsm.made(directory, {name: key._private for name, key in keys.items()}) as token:
        query = f"&pin-source=file:{token.pin_file}"
        yield Vault(
            kinds=kinds,
            uris={name: token.uri(f"object={name}", query) for name in keys},
            hashes={name: key.public_key.fingerprint() for name, key in keys.items()},
        )


def bootseal(*arguments: object, good: bool = True) -> str:
    """Run the command as a process, as SoftHSM reads its configuration once; return its messages.

    Args:
        arguments: What follows `bootseal`.
        good: Whether it is to succeed.
    """
    command = [sys.executable, "-c", "from bootseal.cli.app import main; main()"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=os.environ | {"COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert softhsm.PIN not in done.stdout + done.stderr
    assert (done.returncode == 0) is good, done.stderr
    return done.stderr
