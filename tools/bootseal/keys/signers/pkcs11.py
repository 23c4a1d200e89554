# SPDX-License-Identifier: MIT
"""Signs with a private key that lives in a token, through PKCS#11.

The digest goes in and the signature comes out; the signature is checked with the public key
before it is returned. Works with any PKCS#11 2.40 module.

Spec: PKCS #11 Current Mechanisms 2.40, sections 2.1 (RSA) and 2.3 (ECDSA).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pkcs11

from bootseal.errors import ToolError, UsageError
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm, KeyKind, Padding
from bootseal.keys.signers import pkcs11_uri
from bootseal.keys.signers.pin import PIN_VARIABLE, SecretSource
from bootseal.keys.signers.pkcs11_objects import describe, find_private, read_public

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Access
    from bootseal.keys.signers.pkcs11_uri import Pkcs11Uri

_log: Final = logging.getLogger(__name__)

# The second is what OpenSSL's pkcs11 engine and so most existing set-ups read.
MODULE_VARIABLES: Final = ("BOOTSEAL_PKCS11_MODULE", "PKCS11_MODULE_PATH")
USUAL_MODULES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
    "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/pkcs11/libtpm2_pkcs11.so",
)
_MECHANISMS: Final = (
    pkcs11.Mechanism.RSA_PKCS,
    pkcs11.Mechanism.RSA_PKCS_PSS,
    pkcs11.Mechanism.ECDSA,
)
# A process logs in to a token once, whatever the number of its keys that sign.
_sessions: Final[dict[tuple[Path, int], pkcs11.Session]] = {}
# DER of DigestInfo up to the digest itself (RFC 8017, section 9.2, note 1).
_DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


class TokenSigner:
    """Signs with a key in a PKCS#11 token; the process stays logged in to it."""

    def __init__(self, session: pkcs11.Session, key: pkcs11.PrivateKey, where: str) -> None:
        self._session = session
        self._key = key
        self._where = where
        with _explaining(where):
            self.public_key = read_public(session, key, where)
        """The public half, read from the token."""

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Sign a digest in the token.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
            ToolError: The token refuses, or returns something that is not a signature by this key.
        """
        public.check_request(self.public_key, digest, algorithm)
        with _explaining(self._where):
            signature = self._sign(digest, algorithm)
        return public.accept_answer(self.public_key, digest, signature, algorithm, self._where)

    def _sign(self, digest: bytes, algorithm: Algorithm) -> bytes:
        if not isinstance(self._key, pkcs11.SignMixin):
            raise UsageError(f"{self._where} may not sign (CKA_SIGN is not set)")
        message, mechanism, parameters = _request(digest, algorithm)
        offered = self._session.token.slot.get_mechanisms()
        if mechanism not in offered:
            can = ", ".join(sorted(m.name for m in _MECHANISMS if m in offered)) or "none"
            raise ToolError(
                f"{self._where} cannot sign {algorithm.name} with {algorithm.padding}: its token "
                f"has no {mechanism.name}",
                hint=f"it offers {can}",
            )
        return self._key.sign(message, mechanism=mechanism, mechanism_param=parameters)


def _request(
    digest: bytes, algorithm: Algorithm
) -> tuple[bytes, pkcs11.Mechanism, tuple[pkcs11.Mechanism, pkcs11.MGF, int] | None]:
    """Return what the token is given to sign, how, and the parameters of that."""
    if algorithm.kind in {KeyKind.ECDSA256, KeyKind.ECDSA384}:
        # What is longer than the curve is cut by the standard, and not by every token.
        return digest[: algorithm.bits // 8], pkcs11.Mechanism.ECDSA, None
    match algorithm.padding:
        case Padding.PKCS1:
            message = _DIGEST_INFO[algorithm.hash_name] + digest
            return message, pkcs11.Mechanism.RSA_PKCS, None
        case Padding.PSS:
            name = algorithm.hash_name.upper()
            parameters = pkcs11.Mechanism[name], pkcs11.MGF[name], algorithm.digest_size
            return digest, pkcs11.Mechanism.RSA_PKCS_PSS, parameters


def open_uri(uri: str, access: Access) -> TokenSigner:
    """Log in to the token of a `pkcs11:` URI and find its private key.

    Args:
        uri: Names token and key (RFC 7512).
        access: Where the PIN comes from, and the PKCS#11 library, unless the URI names one; the
            environment is looked at last.

    Raises:
        UsageError: The URI is malformed or does not fit exactly one token and key, or the PIN is
            wrong.
        ToolError: The library or the token fails.
    """
    wanted = pkcs11_uri.parse(uri)
    module = wanted.module_path or access.module or _module_of_environment()
    token = _find_token(module, wanted)
    _log.info("PKCS#11 module %s, token %r, slot %d", module, token.label, token.slot.slot_id)
    where = f"the token {token.label!r}"
    session = _sessions.get((module, token.slot.slot_id))
    if session is None:
        session = _log_in(token, where, wanted, access.secret)
        _sessions[module, token.slot.slot_id] = session
    with _explaining(where):
        key = find_private(session, wanted, where)
    return TokenSigner(session, key, f"the key {wanted.key_text} in {where}")


def _module_of_environment() -> Path:
    for name in MODULE_VARIABLES:
        if value := os.environ.get(name):
            return Path(value)
    here = [path for path in USUAL_MODULES if Path(path).exists()]
    raise UsageError(
        "no PKCS#11 module is named: expected module-path in the URI, --module or "
        f"{MODULE_VARIABLES[0]}",
        hint=f"this machine has {', '.join(here)}" if here else "install the module of your token",
    )


def _tokens(module: Path) -> list[pkcs11.Token]:
    if not module.is_file():
        raise UsageError(f"there is no PKCS#11 module {module}")
    try:
        library = pkcs11.lib(str(module))
        return [slot.get_token() for slot in library.get_slots(token_present=True)]
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise ToolError(
            f"the PKCS#11 module {module} cannot be used: {describe(error)}",
            hint="its own configuration may be missing, for SoftHSM SOFTHSM2_CONF",
        ) from error


def _find_token(module: Path, uri: Pkcs11Uri) -> pkcs11.Token:
    tokens = _tokens(module)
    fitting = [token for token in tokens if _fits(token, uri)]
    # SoftHSM always has one slot with a token that is not initialised yet.
    known = sorted(f"{t.label!r} (serial {_serial(t)})" for t in tokens if t.label)
    listed = ", ".join(known) or "none at all"
    if not fitting:
        raise UsageError(f"no token matches the PKCS#11 URI: the module offers {listed}")
    if len(fitting) > 1:
        raise UsageError(
            f"{len(fitting)} tokens match the PKCS#11 URI: the module offers {listed}",
            hint="add serial= to the URI",
        )
    return fitting[0]


def _fits(token: pkcs11.Token, uri: Pkcs11Uri) -> bool:
    pairs = (
        (uri.token, token.label),
        (uri.serial, _serial(token)),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
    )
    same_slot = uri.slot_id in {None, token.slot.slot_id}
    return bool(token.label) and same_slot and all(not want or want == got for want, got in pairs)


def _serial(token: pkcs11.Token) -> str:
    return token.serial.decode(errors="replace").strip()


def _log_in(
    token: pkcs11.Token, where: str, uri: Pkcs11Uri, secret: SecretSource
) -> pkcs11.Session:
    flag = pkcs11.TokenFlag
    if token.flags & flag.USER_PIN_LOCKED:
        raise ToolError(
            f"the PIN of {where} is locked",
            hint="unlock it with its vendor's tool and its security officer's PIN",
        )
    if token.flags & flag.USER_PIN_FINAL_TRY:
        raise ToolError(
            f"{where} has one PIN try left before it locks, which a build must not use up",
            hint="log in once with its vendor's tool, which resets the tries",
        )
    if token.flags & flag.PROTECTED_AUTHENTICATION_PATH:
        with _explaining(where):
            return token.open(user_pin=pkcs11.types.PROTECTED_AUTH)
    pin = secret.get(f"the PIN of {where}", PIN_VARIABLE, file=uri.pin_file)
    try:
        return token.open(user_pin=pin.decode())
    except UnicodeDecodeError:
        raise UsageError(f"the PIN of {where} is not UTF-8, as PKCS#11 requires") from None
    except (pkcs11.PinIncorrect, pkcs11.PinLenRange, pkcs11.PinInvalid):
        # Not chained: the library's frames may hold the PIN.
        raise UsageError(f"the PIN of {where} is wrong; {_tries_left(token)}") from None
    except pkcs11.PKCS11Error as error:
        raise ToolError(f"{where} refuses the login: {describe(error)}") from None


def _tries_left(token: pkcs11.Token) -> str:
    # The flags of an object are those of the moment it was made: ask the slot again.
    again: pkcs11.Token = token.slot.get_token()
    flags = again.flags
    if flags & pkcs11.TokenFlag.USER_PIN_LOCKED:
        return "it is locked now"
    if flags & pkcs11.TokenFlag.USER_PIN_FINAL_TRY:
        return "one try is left before it locks"
    return "the token does not say how many tries are left, but each wrong one counts"


@contextmanager
def _explaining(where: str) -> Iterator[None]:
    """Turn the library's exceptions into ours."""
    try:
        yield
    except (pkcs11.PKCS11Error, NotImplementedError) as error:
        raise ToolError(f"{where} fails: {describe(error)}") from error
