# SPDX-License-Identifier: MIT
"""Replaces the signatures of a FIT by those of another key; nothing that is signed changes.

Signing the result again with the same key and time gives the same bytes, where the algorithm is
deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.errors import UsageError
from bootseal.fit.add_signature import NewSignature
from bootseal.fit.relayout import FileLayout
from bootseal.fit.sign import Request, SigningKey, collect, sign_request
from bootseal.formats.fdt.edit import Editor

if TYPE_CHECKING:
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fit.model import Fit
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.signers.base import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Resigning:
    """The signer of a FIT's new signatures.

    Attributes:
        signer: The signer.
        hint: The key's name in FIT and control device tree.
        algorithm: How.
        timestamp: Time of signing, seconds since 1970; None takes that of the old signatures.
        strictness: What the FIT must be like.
    """

    signer: Signer
    hint: str
    algorithm: Algorithm
    timestamp: int | None
    strictness: Strictness


def resign(fit: Fit, how: Resigning) -> bytes:
    """Return the FIT with one signature for each configuration, by the given key.

    Raises:
        UsageError: Images are signed one by one, or the key does not fit the algorithm.
        VerificationRefused: The FIT has a flaw no signature should cover.
    """
    return sign_request(_without_signatures(fit), _request(fit, how))


def ask(fit: Fit, how: Resigning) -> None:
    """Pass the signer every digest that `resign` would sign, and discard the answers.

    Raises:
        UsageError: As `resign`, as are the others.
        VerificationRefused: Likewise.
    """
    collect(_without_signatures(fit), _request(fit, how))


def _without_signatures(fit: Fit) -> bytes:
    for image in fit.images:
        if image.signatures:
            raise UsageError(
                f"{image.path} is signed on its own: only signatures of configurations are replaced"
            )
    editor = Editor(fit.data)
    layout = FileLayout(fit, editor.size)
    for configuration in fit.configurations:
        for signature in configuration.signatures:
            editor.remove_node(signature.path)
    return b"".join(layout.parts(editor))


def _request(fit: Fit, how: Resigning) -> Request:
    timestamp = how.timestamp
    if timestamp is None:
        signatures = [s for c in fit.configurations for s in c.signatures]
        timestamp = max((s.timestamp or 0 for s in signatures), default=0)
    algorithm = how.algorithm
    return Request(
        keys=[SigningKey(signer=how.signer, hint=how.hint)],
        timestamp=timestamp,
        strictness=how.strictness,
        add=NewSignature(hint=how.hint, algorithm=algorithm.name, padding=algorithm.padding),
    )
