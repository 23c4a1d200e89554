# SPDX-License-Identifier: MIT
"""The objects of a PKCS#11 token: the private key of a URI and its public half."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pkcs11
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bootseal.errors import BootsealError, FormatError, UsageError
from bootseal.keys import public
from bootseal.keys.public import PublicKey, RsaPublicKey

if TYPE_CHECKING:
    from bootseal.keys.signers.pkcs11_uri import Pkcs11Uri

# DER of the object identifiers that CKA_EC_PARAMS holds for a named curve (RFC 5480).
_CURVES: Final = {
    bytes.fromhex("06082a8648ce3d030107"): public.Curve.P256,
    bytes.fromhex("06052b81040022"): public.Curve.P384,
}
_OCTET_STRING: Final = 0x04


def describe(error: Exception) -> str:
    """Say what a library exception is; many carry no text but a telling name."""
    return ": ".join(filter(None, (type(error).__name__, str(error).strip())))


def find_private(session: pkcs11.Session, uri: Pkcs11Uri, where: str) -> pkcs11.PrivateKey:
    """Return the one private key a URI names.

    Raises:
        UsageError: None or several fit; the message lists what the token holds.
    """
    attribute = pkcs11.Attribute
    every: dict[pkcs11.Attribute, object] = {attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
    wanted = dict(every)
    if uri.object:
        wanted[attribute.LABEL] = uri.object
    if uri.id:
        wanted[attribute.ID] = uri.id
    found = _keys(session, wanted)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(sorted(f"{k.label!r} (id {k.id.hex()})" for k in _keys(session, every)))
    if not found:
        raise UsageError(
            f"{where} holds no private key with {uri.key_text}: it holds {listed or 'none'}"
        )
    raise UsageError(
        f"{len(found)} private keys of {where} match the URI ({uri.key_text}): it holds {listed}",
        hint="add object= or id= to the URI",
    )


def read_public(session: pkcs11.Session, key: pkcs11.PrivateKey, where: str) -> PublicKey:
    """Return the public half of a private key, from whatever the token keeps of it.

    Raises:
        UsageError: The token holds neither a public key object nor a certificate for it.
        FormatError: What it holds is not a key of a supported kind.
    """
    attribute = pkcs11.Attribute
    same = {attribute.ID: key.id} if key.id else {attribute.LABEL: key.label}
    for found in session.get_objects(same):
        if isinstance(found, pkcs11.PublicKey):
            return _of_object(found, where)
        if isinstance(found, pkcs11.Certificate):
            return _of_certificate(found[attribute.VALUE], where)
    if key.key_type is pkcs11.KeyType.RSA:
        return _of_object(key, where)
    raise UsageError(
        f"{where} has no public key for its private key",
        hint="import the public key or the certificate into the token under the same id",
    )


def _keys(
    session: pkcs11.Session, attributes: dict[pkcs11.Attribute, object]
) -> list[pkcs11.PrivateKey]:
    found = session.get_objects(attributes)
    return [key for key in found if isinstance(key, pkcs11.PrivateKey)]


def _of_object(found: pkcs11.PublicKey | pkcs11.PrivateKey, where: str) -> PublicKey:
    attribute = pkcs11.Attribute
    try:
        if found.key_type is pkcs11.KeyType.RSA:
            modulus = int.from_bytes(found[attribute.MODULUS])
            return RsaPublicKey.from_numbers(
                modulus, int.from_bytes(found[attribute.PUBLIC_EXPONENT])
            )
        if found.key_type is pkcs11.KeyType.EC:
            return _of_point(found[attribute.EC_PARAMS], found[attribute.EC_POINT])
    except BootsealError as error:
        raise FormatError(f"{where}: {error.message}") from error
    raise FormatError(f"{where} is a {found.key_type.name} key: expected RSA or EC")


def _of_point(parameters: bytes, encoded: bytes) -> PublicKey:
    curve = _CURVES.get(parameters)
    if curve is None:
        raise FormatError("the key is on another curve than P-256 and P-384")
    # The standard wraps the point into a DER octet string; some tokens leave that out.
    size = 1 + 2 * curve.bits // 8
    point = encoded.removeprefix(bytes([_OCTET_STRING, size])) if len(encoded) > size else encoded
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve.crypto, point)
    except ValueError as error:
        raise FormatError(f"CKA_EC_POINT is not a point on {curve}") from error
    return public.from_crypto(key)


def _of_certificate(der: bytes, where: str) -> PublicKey:
    try:
        return public.from_crypto(x509.load_der_x509_certificate(der).public_key())
    except ValueError as error:
        raise FormatError(f"the certificate of {where} cannot be read: {error}") from error
