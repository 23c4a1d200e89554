# SPDX-License-Identifier: MIT
"""The URI schemes that name private keys outside of files: a row each, and nothing else to add."""

from __future__ import annotations

from typing import Final, NamedTuple


class UriScheme(NamedTuple):
    """How the keys of a URI scheme are reached.

    Attributes:
        module: Module of this package; its `open_uri(uri, access)` returns the signer.
        extra: The extra of the distribution that installs what the module imports.
        example: What such a URI looks like, for help and errors; empty for a second spelling.
    """

    module: str
    extra: str
    example: str = ""


SCHEMES: Final = {
    "pkcs11": UriScheme(module="pkcs11", extra="hsm", example="pkcs11:..."),
    "awskms": UriScheme(module="kms", extra="aws", example="awskms:///..."),
    "arn": UriScheme(module="kms", extra="aws"),
}
EXAMPLES: Final = " or ".join(scheme.example for scheme in SCHEMES.values() if scheme.example)
"""The forms of a key URI that is not a file."""
KEY_URI: Final = f"a PEM file, {EXAMPLES}"
"""The forms of a key URI."""


def find(uri: str) -> UriScheme | None:
    """Return the scheme of a key URI; None for the path of a file.

    >>> find("pkcs11:token=release").extra
    'hsm'
    >>> find("keys/fit.key") is None
    True
    """
    name, colon, _ = uri.partition(":")
    return SCHEMES.get(name) if colon else None
