# SPDX-License-Identifier: MIT
"""Signing in two steps: the signatures are made by openssl, as the written summary says."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import from_pem, verify_digest
from bootseal.keys.signers.offline import Answers, Recorder, WantedSignature, export, load

if TYPE_CHECKING:
    from bootseal.keys.public import PublicKey

pytestmark = pytest.mark.tool("openssl")

KINDS = {
    "rsa2048": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa4096": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "ecdsa256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ecdsa384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
}


def make_key(directory: Path, kind: str) -> PublicKey:
    directory.mkdir(exist_ok=True)
    private = directory / "fit.key"
    subprocess.run(
        ["openssl", "genpkey", *KINDS[kind], "-out", private], check=True, capture_output=True
    )
    public = subprocess.run(
        ["openssl", "pkey", "-in", private, "-pubout"], check=True, capture_output=True
    )
    return from_pem(public.stdout)


def asked(
    directory: Path, key: PublicKey, algorithm: Algorithm, digest: bytes
) -> list[WantedSignature]:
    recorder = Recorder(public_key=key, role="fit")
    recorder.sign_digest(digest, algorithm)
    recorder.sign_digest(digest, algorithm)
    return export(directory, [recorder], "a disk")


def sign_there(requests: Path, keys: Path) -> None:
    """Do what SUMMARY.txt says, in a directory of its own with the key."""
    for line in (requests / "SUMMARY.txt").read_text().splitlines():
        if line.strip().startswith("openssl"):
            words = [
                str(keys / word) if word.endswith(".key") else word
                for word in shlex.split(line.strip())
            ]
            subprocess.run(words, cwd=requests, check=True, capture_output=True)


@pytest.mark.parametrize(
    "text",
    [
        "sha256,rsa2048 pkcs-1.5",
        "sha512,rsa4096 pkcs-1.5",
        "sha256,rsa2048 pss",
        "sha384,rsa4096 pss",
        "sha256,ecdsa256 pkcs-1.5",
        "sha384,ecdsa384 pkcs-1.5",
    ],
)
def test_signature_made_as_the_summary_says_is_taken(tmp_path: Path, text: str) -> None:
    algorithm = Algorithm.parse(*text.split())
    key = make_key(tmp_path / "vault", algorithm.kind)
    digest = algorithm.digest([b"a FIT"])
    (wanted,) = asked(tmp_path / "requests", key, algorithm, digest)
    assert (tmp_path / "requests" / f"{wanted.name}.digest").read_bytes() == digest

    sign_there(tmp_path / "requests", tmp_path / "vault")
    answers = Answers(public_key=key, role="fit", directory=tmp_path / "requests")

    signature = answers.sign_digest(digest, algorithm)
    assert len(signature) == algorithm.signature_size
    verify_digest(key, digest, signature, algorithm)


def test_signature_of_another_key_digest_or_none_is_refused(tmp_path: Path) -> None:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    key, stranger = (make_key(tmp_path / name, algorithm.kind) for name in ("vault", "other"))
    digest, other = algorithm.digest([b"a FIT"]), algorithm.digest([b"another"])
    requests = tmp_path / "requests"
    (wanted,) = asked(requests, key, algorithm, digest)
    answers = Answers(public_key=key, role="fit", directory=requests)

    with pytest.raises(UsageError, match="no signature"):
        answers.sign_digest(digest, algorithm)
    sign_there(requests, tmp_path / "other")
    with pytest.raises(VerificationRefused):
        answers.sign_digest(digest, algorithm)
    Answers(public_key=stranger, role="fit", directory=requests).sign_digest(digest, algorithm)
    sign_there(requests, tmp_path / "vault")
    answers.sign_digest(digest, algorithm)
    # The right key, and the signature of something else under the expected name.
    asked(tmp_path / "more", key, algorithm, other)
    sign_there(tmp_path / "more", tmp_path / "vault")
    (found,) = (tmp_path / "more").glob("*.sig")
    shutil.copy(found, requests / f"{wanted.name}.sig")
    with pytest.raises(VerificationRefused):
        answers.sign_digest(digest, algorithm)
    (requests / f"{wanted.name}.sig").write_bytes(b"\x30\x06\x02\x01")
    with pytest.raises(BootsealError):
        answers.sign_digest(digest, algorithm)


def test_requests_are_never_written_over(tmp_path: Path) -> None:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    key = make_key(tmp_path / "vault", algorithm.kind)
    asked(tmp_path / "requests", key, algorithm, algorithm.digest([b"a FIT"]))

    with pytest.raises(UsageError, match="is not empty"):
        asked(tmp_path / "requests", key, algorithm, algorithm.digest([b"a FIT"]))


@pytest.mark.parametrize("text", ["sha256,rsa2048 pss", "sha384,ecdsa384 pkcs-1.5"])
def test_bootseal_answers_requests_as_openssl_does(tmp_path: Path, text: str) -> None:
    algorithm = Algorithm.parse(*text.split())
    key = make_key(tmp_path / "vault", algorithm.kind)
    (tmp_path / "vault/fit.key").chmod(0o600)
    digest = algorithm.digest([b"a FIT"])
    requests = tmp_path / "requests"
    asked(requests, key, algorithm, digest)
    command = [str(Path(sys.executable).with_name("bootseal")), "disk", "sign-requests"]
    options = [str(requests), "--key", str(tmp_path / "vault/fit.key")]

    subprocess.run([*command, *options], check=True, capture_output=True)
    other = subprocess.run([*command, *options, "--role", "policy"], check=False)

    answers = Answers(public_key=key, role="fit", directory=requests)
    verify_digest(key, digest, answers.sign_digest(digest, algorithm), algorithm)
    assert other.returncode == 2


@pytest.mark.parametrize(
    "change",
    [
        {"role": "../../fit"},
        {"digest": "xy"},
        {"digest": 5},
        {"algorithm": "sha1,rsa2048"},
        {"padding": "none"},
    ],
)
def test_requests_are_read_strictly(tmp_path: Path, change: dict[str, object]) -> None:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    key = make_key(tmp_path / "vault", algorithm.kind)
    asked(tmp_path / "requests", key, algorithm, algorithm.digest([b"a FIT"]))
    path = tmp_path / "requests/requests.json"
    document = json.loads(path.read_text())
    assert len(load(tmp_path / "requests")) == 1
    document["requests"][0].update(change)
    path.write_text(json.dumps(document))

    with pytest.raises(FormatError, match="does not hold signing requests"):
        load(tmp_path / "requests")


DIGEST = Algorithm.parse("sha256,ecdsa256").digest([b"a FIT"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Algorithm.parse("sha256,ecdsa256").digest([b"another"]), "holds "),
        (DIGEST + b"x", "holds "),
        (b"", "holds "),
        (None, "cannot be read"),
    ],
    ids=["other", "longer", "empty", "missing"],
)
def test_file_that_is_not_what_the_request_names_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    requests = tmp_path / "requests"
    key = make_key(tmp_path / "vault", algorithm.kind)
    (wanted,) = asked(requests, key, algorithm, DIGEST)
    path = requests / f"{wanted.name}.digest"
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(VerificationRefused, match=said):
        load(requests)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": Algorithm.parse("sha256,ecdsa256").digest([b"another"]).hex()},
        {"name": "fit-0123456789abcdef"},
        {"command": "openssl pkeyutl -sign -in other.digest"},
    ],
    ids=["digest", "name", "command"],
)
def test_request_that_was_changed_on_the_way_is_refused(
    tmp_path: Path, change: dict[str, str]
) -> None:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    requests = tmp_path / "requests"
    asked(requests, make_key(tmp_path / "vault", algorithm.kind), algorithm, DIGEST)
    path = requests / "requests.json"
    document = json.loads(path.read_text())
    document["requests"][0].update(change)
    path.write_text(json.dumps(document))

    with pytest.raises(VerificationRefused, match=r"expected|names|cannot be read"):
        load(requests)


def test_digest_without_a_request_is_refused(tmp_path: Path) -> None:
    algorithm = Algorithm.parse("sha256,ecdsa256")
    requests = tmp_path / "requests"
    asked(requests, make_key(tmp_path / "vault", algorithm.kind), algorithm, DIGEST)
    (requests / "fit-more.digest").write_bytes(DIGEST)

    with pytest.raises(VerificationRefused, match=r"fit-more\.digest belongs to no request"):
        load(requests)
