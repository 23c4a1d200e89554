# SPDX-License-Identifier: MIT
"""Findings about key directories."""

from __future__ import annotations

from typing import Final

from bootseal.findings.model import Rule, Severity

_RESTORE: Final = "restore the file that keys.json records"
_ROTATE: Final = "bootseal keys rotate"

KEYS: Final = (
    Rule(
        "keys.permissions",
        "others may read a private key or look into its directory",
        "chmod go= on the file or directory",
    ),
    Rule("keys.mismatch", "private key, certificate and public key of one name differ", _RESTORE),
    Rule("keys.fingerprint", "a certificate is for another key than `keys.json` says", _RESTORE),
    Rule("keys.duplicate", "one key under two names", "make a key for each role"),
    Rule("keys.published", "a published test key: anybody can sign with it", "make a key"),
    Rule(
        "keys.revoked",
        "revoked and still in its role; a warning when its private key is still there at all",
        "bootseal keys rotate; destroy the private key",
    ),
    Rule("keys.expired", "a certificate that has expired", _ROTATE, Severity.WARNING),
    Rule("keys.age", "a signing key older than `--max-age` days", _ROTATE, Severity.WARNING),
    Rule(
        "keys.algorithm",
        "RSA-2048, except for `policy`",
        "use rsa3072, rsa4096 or an elliptic curve in the next key",
        Severity.WARNING,
    ),
    Rule(
        "keys.plain",
        "an unencrypted private key of a production profile",
        "keep it in a token, or encrypt it",
        Severity.WARNING,
    ),
    Rule(
        "keys.stray",
        "a file that `keys.json` does not know",
        "move it elsewhere",
        Severity.WARNING,
    ),
    Rule("keys.missing", "a file that `keys.json` lists is not there", _RESTORE),
    Rule("keys.unreadable", "not a key or certificate that can be read", _RESTORE),
    Rule(
        "keys.symlink",
        "a link, whose target is checked instead",
        "put the file itself there",
        Severity.WARNING,
    ),
)
"""What `keys audit` looks for."""
