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
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fdt.model import Buffer
    from bootseal.keys.algorithms import Algorithm
    from bootseal.keys.signers.base import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Resigning:
    """Whose signatures a FIT shall have.

    Attributes:
        signer: Who signs.
        hint: The key's name in FIT and control device tree.
        algorithm: How.
        timestamp: Time of signing, seconds since 1970; None takes that of the old signatures.
        policy: What the FIT must be like.
    """

    signer: Signer
    hint: str
    algorithm: Algorithm
    timestamp: int | None
    policy: Strictness


def resign(fit: Buffer, how: Resigning) -> bytes:
    """Return the FIT with one signature for each configuration, by the given key.

    Raises:
        FormatError: It is no FIT.
        UsageError: Images are signed one by one, or the key does not fit the algorithm.
        VerificationRefused: The FIT has a flaw no signature should cover.
    """
    return sign_request(without_signatures(fit), _request(fit, how))


def ask(fit: Buffer, how: Resigning) -> None:
    """Show the signer every digest that `resign` would have signed, and drop the answers.

    Raises:
        FormatError: As `resign`, as are the others.
        UsageError: Likewise.
        VerificationRefused: Likewise.
    """
    collect(without_signatures(fit), _request(fit, how))


def without_signatures(fit: Buffer) -> bytes:
    """Return the FIT without signature nodes.

    Raises:
        FormatError: It is no FIT.
        UsageError: Images are signed one by one.
    """
    model = fit_format.parse(fit)
    for image in model.images:
        if image.signatures:
            raise UsageError(
                f"{image.path} is signed on its own: only signatures of configurations are replaced"
            )
    editor = Editor(fit)
    layout = FileLayout(model, editor.size)
    for configuration in model.configurations:
        for signature in configuration.signatures:
            editor.remove_node(signature.path)
    return b"".join(layout.parts(editor))


def _request(fit: Buffer, how: Resigning) -> Request:
    timestamp = how.timestamp
    if timestamp is None:
        signatures = [s for c in fit_format.parse(fit).configurations for s in c.signatures]
        timestamp = max((s.timestamp or 0 for s in signatures), default=0)
    algorithm = how.algorithm
    return Request(
        keys=[SigningKey(signer=how.signer, hint=how.hint)],
        timestamp=timestamp,
        policy=how.policy,
        add=NewSignature(hint=how.hint, algorithm=algorithm.name, padding=algorithm.padding),
    )
