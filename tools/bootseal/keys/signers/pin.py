# SPDX-License-Identifier: MIT
"""Where PINs and passphrases come from: a file, the environment or a question, never argv.

Arguments are seen by every user of the machine and end in logs, so no option takes a secret. A
secret is bytes in one local variable on its way to the token; nothing here prints or logs it, and
the messages of errors name its source only.
"""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError
from bootseal.files import opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log: Final = logging.getLogger(__name__)

OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO
PIN_FILE_VARIABLE: Final = "BOOTSEAL_PIN_FILE"
PIN_VARIABLE: Final = "BOOTSEAL_PIN"
PASSPHRASE_VARIABLE: Final = "BOOTSEAL_PASSPHRASE"  # noqa: S105 - its name, not its value
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """How to come by a secret, tried in this order: file, environment, question.

    Attributes:
        file: Holds the secret and an optional line end, and is private to its owner.
        ask: Asks the user, given what is wanted; None where there is no one to ask.
    """

    file: Path | None = None
    ask: Callable[[str], str] | None = None

    def get(self, what: str, variable: str, *, file: Path | None = None) -> bytes:
        """Return the secret.

        Args:
            what: What it is, in questions and errors: `the PIN of the token 'x'`.
            variable: Environment variable to look into.
            file: Used when the source names no file itself.

        Raises:
            UsageError: There is none, or its file is missing, empty or open to others.
        """
        if path := self.file or file:
            _log.info("%s: from the file %s", what, path)
            return _read(path, what)
        if variable in os.environ:
            _log.info("%s: from %s", what, variable)
            return _checked(os.fsencode(os.environ[variable]), what, variable)
        if self.ask:
            _log.info("%s: entered at a prompt", what)
            return _checked(self.ask(what).encode(), what, "the answer")
        raise UsageError(
            f"{what} is needed, and there is no terminal to prompt on",
            hint=f"give a file that contains it with --pin-file or {PIN_FILE_VARIABLE}, or set "
            f"{variable}",
        )


def _read(path: Path, what: str) -> bytes:
    try:
        with opened(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(_LONGEST + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}: expected it to contain {what}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory: expected a file with {what}") from None
    if mode & OTHERS_MAY:
        raise UsageError(
            f"{path} has mode {mode:04o}: a file with {what} must not be accessible to other users",
            hint=f"chmod 600 {path}",
        )
    return _checked(secret.removesuffix(b"\n").removesuffix(b"\r"), what, str(path))


def _checked(secret: bytes, what: str, where: str) -> bytes:
    if not secret:
        raise UsageError(f"{where} is empty: expected {what}")
    if len(secret) > _LONGEST or b"\0" in secret:
        raise UsageError(f"{where} is not text of a few characters: expected {what}")
    return secret
