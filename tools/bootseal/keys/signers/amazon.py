# SPDX-License-Identifier: MIT
"""AWS by boto3: one way to connect, to ask, and to say what went wrong.

Credentials, region and endpoint come from where every AWS tool takes them: environment variables,
shared configuration files, or the role of the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from bootseal.errors import BootsealError, ToolError, UsageError
from bootseal.keys import public

MISSING: Final = "ResourceNotFoundException"
"""The error code of AWS IoT for what does not exist."""

_TIMEOUT: Final = 20
# What to do about an error code that any service may answer.
_HINTS: Final = {
    "UnrecognizedClientException": "AWS does not know the credentials: aws sts get-caller-identity",
    "InvalidClientTokenId": "AWS does not know the credentials: aws sts get-caller-identity",
    "ExpiredToken": "the credentials have expired: log in again",
    "ExpiredTokenException": "the credentials have expired: log in again",
    "ThrottlingException": "too many requests: try again later",
    "LimitExceededException": "too many requests: try again later",
}


class Outcome(StrEnum):
    """What became of something that a plan asks AWS for."""

    DONE = "done"
    THERE = "there"
    MISSING = "missing"


def connect(service: str, region: str | None) -> object:
    """Return boto3's client of a service.

    Args:
        service: Its name in boto3.
        region: The region; None for that of the environment.

    Raises:
        BotoCoreError: No region is configured.
    """
    config = Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, user_agent_extra="bootseal")
    client: object = boto3.session.Session().client(service, region_name=region, config=config)
    return client


def connect_iot(account: str, region: str) -> object:
    """Return boto3's client of AWS IoT, for the account that a plan is for.

    Raises:
        UsageError: The credentials are of another account.
        ToolError: AWS cannot be asked.
    """
    with explaining("AWS", {}, {}):
        caller = call(connect("sts", region), "GetCallerIdentity", {})
        client = connect("iot", region)
    if caller["Account"] != account:
        raise UsageError(
            f"the credentials are of account {caller['Account']}: the plan is for {account}",
            hint="choose other credentials: AWS_PROFILE; or make the plan again with --account",
        )
    return client


def call(client: object, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any]:
    """Call an operation by the name that it has in AWS's reference.

    Raises:
        ClientError: The service refuses.
        BotoCoreError: It cannot be asked, or boto3 does not know the request.
    """
    answer: Mapping[str, Any] = getattr(client, xform_name(operation))(**parameters)
    return answer


def ask(
    client: object, operation: str, parameters: Mapping[str, object], hints: Mapping[str, str]
) -> Mapping[str, Any]:
    """Call an operation of AWS IoT, and say what to do when it is refused.

    Args:
        client: boto3's client of AWS IoT.
        operation: Its name in AWS's reference.
        parameters: Its parameters.
        hints: What to do about the operation's error codes.

    Raises:
        ToolError: AWS refuses, or cannot be asked.
    """
    denied = f"the caller needs iot:{operation}"
    known = {**hints, "AccessDeniedException": denied, "UnauthorizedException": denied}
    with explaining(f"AWS IoT, {operation}", known, {}):
        return call(client, operation, parameters)


def look(
    client: object, operation: str, parameters: Mapping[str, object], hints: Mapping[str, str]
) -> Mapping[str, Any] | None:
    """Ask AWS IoT for what may not be there; None if it is not.

    Raises:
        ToolError: As `ask`.
    """
    try:
        return ask(client, operation, parameters, hints)
    except ToolError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and error_code(cause) == MISSING:
            return None
        raise


@contextmanager
def explaining(
    where: str, hints: Mapping[str, str], kinds: Mapping[str, type[BootsealError]]
) -> Iterator[None]:
    """Turn boto3's exceptions into ours.

    Args:
        where: What is asked, for messages.
        hints: What to do about the service's own error codes.
        kinds: What an error code is, unless the service let us down.

    Raises:
        BootsealError: The service refused, or cannot be reached.
    """
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        said = str(error.response.get("Error", {}).get("Message", ""))
        raise kinds.get(code, ToolError)(
            f"{where}: AWS answered {code}: {said}".rstrip(": "),
            hint=hints.get(code, _HINTS.get(code, "")),
        ) from error
    except ParamValidationError as error:
        # boto3's own description of the service: nothing was sent.
        raise ToolError(
            f"{where}: boto3 {boto3.__version__} does not send this request: "
            f"{' '.join(str(error).split())[:300]}",
            hint="pip install --upgrade 'bootseal[aws]', and report it if that does not help",
        ) from error
    except BotoCoreError as error:
        raise ToolError(
            f"{where} cannot be reached: {public.first_line(error)}",
            hint="check credentials, AWS_REGION and the network: aws sts get-caller-identity",
        ) from error


def error_code(error: ClientError) -> str:
    """Return the service's error code."""
    return str(error.response.get("Error", {}).get("Code", "unknown error"))
