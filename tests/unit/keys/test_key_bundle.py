# SPDX-License-Identifier: MIT
"""A PEM file with a certificate and its private key, in either order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests import kinds, samples

from bootseal.errors import FormatError, UsageError
from bootseal.formats.kinds.kind import Kind
from bootseal.keys.directory import inspect
from bootseal.keys.signers import base as signers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> dict[Kind, bytes]:
    return kinds.files(tmp_path)


@pytest.mark.parametrize("first", [Kind.CERTIFICATE, Kind.PRIVATE_KEY])
def test_bundle_signs_and_its_permissions_count(
    tmp_path: Path, files: dict[Kind, bytes], first: Kind
) -> None:
    second = Kind.PRIVATE_KEY if first is Kind.CERTIFICATE else Kind.CERTIFICATE
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(files[first] + files[second])
    bundle.chmod(0o600)
    expected = samples.signer("rsa2048", 1).public_key

    assert signers.open(str(bundle)).public_key == expected
    shown = inspect.show(bundle)
    assert (shown.kind, shown.public_key) == ("certificate and private key", expected)
    assert not shown.findings

    bundle.chmod(0o644)
    assert [found.id for found in inspect.show(bundle).findings] == ["keys.permissions"]
    with pytest.raises(UsageError, match="must not be accessible to other users"):
        signers.open(str(bundle))


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (Kind.DER_PRIVATE_KEY, "openssl pkey -inform DER"),
        (Kind.PKCS12, "openssl pkcs12"),
        (Kind.FIT, "bootseal fit show"),
        (Kind.JSON, "grep"),
    ],
)
def test_what_is_not_a_pem_key_is_named(
    tmp_path: Path, files: dict[Kind, bytes], kind: Kind, hint: str
) -> None:
    path = tmp_path / "given"
    path.write_bytes(files[kind])
    path.chmod(0o600)

    for read in (inspect.show, lambda path: signers.open(str(path))):
        with pytest.raises(FormatError, match=f"given is {kind.value}: expected a private") as seen:
            read(path)
        assert seen.value.hint.startswith(hint)
