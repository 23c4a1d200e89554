# SPDX-License-Identifier: MIT
"""AWS IoT Jobs on the wire: topics, requests and replies, as MQTT payloads.

Spec: AWS IoT Core Developer Guide, Jobs device MQTT API operations and Jobs limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from bootseal_agent import document, strict
from bootseal_agent.errors import Refusal
from bootseal_agent.events import (
    Accepted,
    Event,
    Execution,
    GetJob,
    Got,
    Notified,
    Offered,
    Refused,
    Report,
    StartNext,
    Status,
)

Request: TypeAlias = StartNext | GetJob | Report

THING: Final = r"[a-zA-Z0-9:_-]{1,128}"
JOB: Final = r"[a-zA-Z0-9_-]{1,64}"
MAX_MESSAGE: Final = 128 << 10
"""Bytes that AWS sends at most in one message."""

_ECHO: Final = r"[!-~]{1,64}"
_CODE: Final = r"[A-Za-z]{1,64}"
_HIGHEST: Final = (1 << 63) - 1
_KEY: Final = re.compile(r"[^a-zA-Z0-9:_-]")
# AWS takes no control characters; what is not ASCII is replaced, too.
_VALUE: Final = re.compile(r"[^\x20-\x7e]+")
_LONGEST: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to publish.

    Attributes:
        topic: Where.
        payload: What.
    """

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """The topics of one thing.

    Attributes:
        name: The thing.
    """

    name: str

    @property
    def prefix(self) -> str:
        """What all its topics of jobs begin with."""
        return f"$aws/things/{self.name}/jobs/"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topics that the agent listens to."""
        answers = ("start-next", "+/get", "+/update")
        kinds = ("accepted", "rejected")
        topics = [f"{answer}/{kind}" for answer in answers for kind in kinds]
        return tuple(self.prefix + topic for topic in ("notify-next", *topics))

    def request(self, asked: Request, token: str) -> Message:
        """Return the message of a request.

        Args:
            asked: What is asked.
            token: What the answer is recognised by.
        """
        body: dict[str, object] = {"clientToken": token}
        topic = "start-next"
        match asked:
            case StartNext():
                pass
            case GetJob(job):
                topic = f"{job}/get"
                body["includeJobDocument"] = True
            case Report():
                topic = f"{asked.job}/update"
                body |= {
                    "status": asked.status,
                    "statusDetails": details(asked.details),
                    "expectedVersion": asked.version,
                    "executionNumber": asked.number,
                    "includeJobExecutionState": True,
                }
        return Message(topic=self.prefix + topic, payload=json.dumps(body).encode())

    def read(self, topic: str, payload: bytes) -> tuple[str, Event]:
        """Read a message.

        Args:
            topic: Where it came from.
            payload: Its bytes, from anyone who may publish there.

        Returns:
            The token of the request that it answers, empty if it answers none; and what happened.

        Raises:
            Refusal: It is for another thing, or not what AWS sends.
        """
        if not topic.startswith(self.prefix):
            raise Refusal(f"the topic {strict.shown(topic)} is not of the thing {self.name}")
        members = strict.parse(payload, "the message", limit=MAX_MESSAGE)
        rest = topic.removeprefix(self.prefix)
        if rest == "notify-next":
            found = _execution(members)
            return "", Notified(found.job if found else "")
        token = strict.text(members, "clientToken", "the message", _ECHO)
        match rest.split("/"):
            case [*_, "rejected"]:
                return token, Refused(strict.text(members, "code", "the message", _CODE))
            case ["start-next", "accepted"]:
                return token, Offered(_execution(members))
            case [job, "get", "accepted"]:
                return token, Got(_named(members, job))
            case [_, "update", "accepted"]:
                state = _object(members, "executionState")
                version = strict.number(state, "versionNumber", "the message", 1, _HIGHEST)
                return token, Accepted(version)
            case _:
                raise Refusal(f"the topic {strict.shown(topic)} is not one that was asked for")


def details(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the details of a status in characters and lengths that AWS takes.

    Of a long text the end is kept: that is where programs say what went wrong.

    >>> details([("last error", "line 1" + chr(10) + "line 2")])
    {'last_error': 'line 1 line 2'}
    """
    return {
        _KEY.sub("_", key)[:128]: _VALUE.sub(" ", value).strip()[-_LONGEST:] or "-"
        for key, value in given
    }


def _named(members: Mapping[str, object], job: str) -> Execution:
    found = _execution(members)
    if found is None or found.job != job:
        raise Refusal(f"the message describes another job than {strict.shown(job)}")
    return found


def _execution(members: Mapping[str, object]) -> Execution | None:
    if not members.get("execution"):
        return None  # AWS leaves it out, or empty, when there is no job.
    found, what = _object(members, "execution"), "the execution"
    status = strict.text(found, "status", what, "|".join(Status))
    asked, fault = None, "no document was sent"
    if found.get("jobDocument") is not None:
        try:
            asked, fault = document.read(_document(found)), ""
        except Refusal as refusal:
            fault = f"{refusal}"
    return Execution(
        job=strict.text(found, "jobId", what, JOB),
        number=strict.number(found, "executionNumber", what, 0, _HIGHEST),
        version=strict.number(found, "versionNumber", what, 1, _HIGHEST),
        status=Status(status),
        asked=asked,
        fault=fault,
    )


def _document(members: Mapping[str, object]) -> dict[str, object]:
    found = _object(members, "jobDocument")
    size = len(json.dumps(found, default=repr))
    if size > document.MAX_SIZE:
        raise Refusal(f"the document has {size} bytes: expected at most {document.MAX_SIZE}")
    return found


def _object(members: Mapping[str, object], key: str) -> dict[str, object]:
    found = members.get(key)
    if not isinstance(found, dict):
        raise Refusal(f"{key} is {strict.shown(found)}: expected an object")
    return cast("dict[str, object]", found)
