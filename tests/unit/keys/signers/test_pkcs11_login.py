# SPDX-License-Identifier: MIT
"""What a token says about its PIN before and after a login, which no software token can be put to.

The doubles have the two attributes of python-pkcs11's Token that are looked at here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pkcs11
import pytest

from bootseal.errors import BootsealError, ToolError, UsageError
from bootseal.keys.signers import pkcs11 as token
from bootseal.keys.signers.pin import SecretSource
from bootseal.keys.signers.pkcs11_uri import Pkcs11Uri

if TYPE_CHECKING:
    from pathlib import Path

FLAG = pkcs11.TokenFlag


@dataclass
class FakeToken:
    """A token with these flags, and others once a wrong PIN was tried."""

    flags: pkcs11.TokenFlag
    flags_later: pkcs11.TokenFlag = FLAG.LOGIN_REQUIRED
    error: type[pkcs11.PKCS11Error] = pkcs11.PinIncorrect
    tried: list[object] = field(default_factory=list)

    @property
    def slot(self) -> FakeToken:
        return self

    def get_token(self) -> FakeToken:
        return FakeToken(flags=self.flags_later)

    def open(self, user_pin: object) -> None:
        self.tried.append(user_pin)
        raise self.error


@pytest.fixture
def secret(tmp_path: Path) -> SecretSource:
    path = tmp_path / "pin"
    path.touch(mode=0o600)
    path.write_text("s3cret")
    return SecretSource(file=path)


def log_in(fake: FakeToken, secret: SecretSource) -> BootsealError:
    with pytest.raises(BootsealError) as refusal:
        token._log_in(fake, "the token 'x'", Pkcs11Uri(), secret)  # type: ignore[arg-type]
    assert "s3cret" not in refusal.value.message + refusal.value.hint
    return refusal.value


@pytest.mark.parametrize("pad", [FLAG(0), FLAG.PROTECTED_AUTHENTICATION_PATH])
@pytest.mark.parametrize(
    ("flag", "message"),
    [(FLAG.USER_PIN_LOCKED, "is locked"), (FLAG.USER_PIN_FINAL_TRY, "has one PIN try left")],
)
def test_pin_that_is_locked_or_about_to_lock_is_not_tried(
    secret: SecretSource, flag: pkcs11.TokenFlag, message: str, pad: pkcs11.TokenFlag
) -> None:
    fake = FakeToken(flags=FLAG.LOGIN_REQUIRED | flag | pad)

    error = log_in(fake, secret)

    assert isinstance(error, ToolError)
    assert message in error.message
    assert fake.tried == []


@pytest.mark.parametrize(
    ("later", "told"),
    [
        (FLAG.USER_PIN_FINAL_TRY, "one try is left"),
        (FLAG.USER_PIN_LOCKED, "it is locked now"),
        (FLAG.USER_PIN_COUNT_LOW, "each wrong one counts"),
    ],
)
def test_wrong_pin_is_tried_once_and_what_is_left_is_told(
    secret: SecretSource, later: pkcs11.TokenFlag, told: str
) -> None:
    fake = FakeToken(flags=FLAG.LOGIN_REQUIRED, flags_later=later)

    error = log_in(fake, secret)

    assert isinstance(error, UsageError)
    assert told in error.message
    assert fake.tried == ["s3cret"]


def test_token_with_a_pin_pad_is_not_given_a_pin(secret: SecretSource) -> None:
    fake = FakeToken(
        flags=FLAG.PROTECTED_AUTHENTICATION_PATH, error=pkcs11.exceptions.FunctionCancelled
    )

    assert "FunctionCancelled" in log_in(fake, secret).message
    assert fake.tried == [pkcs11.types.PROTECTED_AUTH]
