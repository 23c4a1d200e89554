# SPDX-License-Identifier: MIT
"""A double of the data plane of AWS IoT Jobs. It is not AWS.

It does what AWS documents: the order of jobs, versions, codes of refusals, final states, fresh
URLs, batches and the criteria that abort a job. It was never compared with AWS itself.

Spec: AWS IoT Core Developer Guide, Jobs device MQTT API operations, job configurations.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DOUBLE: Final = "a double of AWS IoT Jobs: not AWS"
FINAL: Final = frozenset({"SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED", "REMOVED"})
URL: Final = "${aws:iot:s3-presigned-url-v2:"

_OPERATIONS: Final = {
    "start-next": "StartNextPendingJobExecution",
    "get": "DescribeJobExecution",
    "update": "UpdateJobExecution",
}

Answer: TypeAlias = tuple[str, dict[str, object]]


@dataclass(slots=True, kw_only=True)
class Execution:
    """A job on a thing."""

    job: str
    status: str = "QUEUED"
    version: int = 1
    details: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Job:
    """A job, with the things that wait for a later batch."""

    document: object
    waiting: list[str]
    abort: Sequence[Mapping[str, object]] = ()
    status: str = "IN_PROGRESS"


class DataPlane:
    """Jobs and their executions, and what is answered to requests.

    Args:
        check: Says what is wrong with the parameters of an operation, which is named first; "" for
            nothing.

    Attributes:
        jobs: Jobs by their id.
        things: What each thing was asked for.
        refused: What was wrong with requests.
        messages: How many requests there were.
    """

    def __init__(self, check: Callable[[str, dict[str, object]], str] | None = None) -> None:
        self._check = check or (lambda *_: "")
        self.jobs: dict[str, Job] = {}
        self.things: dict[str, list[Execution]] = {}
        self.refused: list[str] = []
        self.messages = 0
        self._urls = 0
        self._lock = threading.RLock()

    def create(
        self,
        job: str,
        document: object,
        things: Iterable[str],
        *,
        batch: int = 1 << 30,
        abort: Sequence[Mapping[str, object]] = (),
    ) -> list[Answer]:
        """Make a job, and queue its first batch."""
        with self._lock:
            self.jobs[job] = Job(document=document, waiting=[*things], abort=abort)
            return self.roll_out(job, batch)

    def roll_out(self, job: str, batch: int) -> list[Answer]:
        """Queue the next batch, as AWS does each minute."""
        with self._lock:
            made = self.jobs[job]
            if made.status != "IN_PROGRESS":
                return []
            now, made.waiting = made.waiting[:batch], made.waiting[batch:]
            for thing in now:
                self.things.setdefault(thing, []).append(Execution(job=job))
            return [self._notice(thing) for thing in now]

    def cancel(self, job: str, *, force: bool = True) -> list[Answer]:
        """End a job; what is in progress only by force."""
        with self._lock:
            self.jobs[job].status = "CANCELED"
            alive = {"QUEUED", "IN_PROGRESS"} if force else {"QUEUED"}
            return [
                self._end(thing, each, "CANCELED")
                for thing, executions in self.things.items()
                for each in executions
                if each.job == job and each.status in alive
            ]

    def expire(self, thing: str, job: str) -> list[Answer]:
        """Let the time of an execution run out."""
        with self._lock:
            return [self._end(thing, self._find(thing, job), "TIMED_OUT")]

    def execution(self, thing: str, job: str) -> Execution:
        """Return an execution as it is now."""
        with self._lock:
            return replace(self._find(thing, job))

    def statuses(self, job: str) -> Counter[str]:
        """Count the executions of a job by their status."""
        with self._lock:
            every = [each for executions in self.things.values() for each in executions]
            return Counter(each.status for each in every if each.job == job)

    def handle(self, topic: str, payload: bytes) -> list[Answer]:
        """Answer a request."""
        _, _, thing, _, *rest = topic.split("/")
        with self._lock:
            self.messages += 1
            body: dict[str, object] = json.loads(payload)
            token = {"clientToken": body.pop("clientToken")} if "clientToken" in body else {}
            made, more = self._judged(topic, thing, rest, body)
            kind = "rejected" if "code" in made else "accepted"
            return [(f"{topic}/{kind}", made | token | {"timestamp": int(time.time())}), *more]

    def _judged(
        self, topic: str, thing: str, rest: Sequence[str], body: dict[str, object]
    ) -> tuple[dict[str, object], list[Answer]]:
        operation = _OPERATIONS.get(rest[-1] if rest else "", "")
        named = body | {"thingName": thing} | ({"jobId": rest[0]} if len(rest) > 1 else {})
        wrong = self._check(operation, named) if operation else "unknown topic"
        if wrong:
            self.refused.append(f"{topic}: {wrong}")
            return {"code": "InvalidRequest", "message": wrong}, []
        return self._answer(thing, rest, body)

    def _answer(
        self, thing: str, rest: Sequence[str], body: dict[str, object]
    ) -> tuple[dict[str, object], list[Answer]]:
        if len(rest) == 1:
            return self._start_next(thing), []
        job = rest[0]
        if rest[-1] == "update":
            return self._update(thing, job, body)
        found = self._known(thing, job)
        if found is None:
            return {"code": "ResourceNotFound", "message": "no such job"}, []
        return {"execution": self._described(thing, found)}, []

    def _start_next(self, thing: str) -> dict[str, object]:
        found = self._next(thing)
        if found is None:
            return {}
        if found.status == "QUEUED":
            found.status, found.version = "IN_PROGRESS", found.version + 1
        return {"execution": self._described(thing, found)}

    def _update(
        self, thing: str, job: str, body: dict[str, object]
    ) -> tuple[dict[str, object], list[Answer]]:
        found = self._known(thing, job)
        if found is None:
            return {"code": "ResourceNotFound", "message": "no such job"}, []
        state = {"status": found.status, "versionNumber": found.version}
        if found.status in FINAL:
            return {"code": "InvalidStateTransition", "message": "", "executionState": state}, []
        if body.get("expectedVersion", found.version) != found.version:
            return {"code": "VersionMismatch", "message": "", "executionState": state}, []
        found.status, found.version = str(body["status"]), found.version + 1
        details = body.get("statusDetails", found.details)
        found.details = details if isinstance(details, dict) else {}
        state = {"status": found.status, "versionNumber": found.version}
        more = [self._notice(thing)] if found.status in FINAL else []
        if more:
            more += self._abort(job)
        return {"executionState": state}, more

    def _abort(self, job: str) -> list[Answer]:
        """Cancel the rest of a job when one of its criteria says so."""
        counted, made = self.statuses(job), self.jobs[job]
        ended = sum(counted[each] for each in ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT"))
        for rule in made.abort:
            kind = str(rule["failureType"])
            bad = ended - counted["SUCCEEDED"] if kind == "ALL" else counted[kind]
            enough = ended >= int(str(rule["minNumberOfExecutedThings"]))
            if enough and bad * 100 >= ended * float(str(rule["thresholdPercentage"])):
                made.waiting = []
                return self.cancel(job, force=False)
        return []

    def _end(self, thing: str, execution: Execution, status: str) -> Answer:
        execution.status, execution.version = status, execution.version + 1
        return self._notice(thing)

    def _notice(self, thing: str) -> Answer:
        found = self._next(thing)
        body: dict[str, object] = {"timestamp": int(time.time())}
        if found is not None:
            body["execution"] = self._described(thing, found)
        return f"$aws/things/{thing}/jobs/notify-next", body

    def _next(self, thing: str) -> Execution | None:
        executions = self.things.get(thing, [])
        for status in ("IN_PROGRESS", "QUEUED"):
            for each in executions:
                if each.status == status:
                    return each
        return None

    def _known(self, thing: str, job: str) -> Execution | None:
        return next((each for each in self.things.get(thing, []) if each.job == job), None)

    def _find(self, thing: str, job: str) -> Execution:
        return next(each for each in self.things[thing] if each.job == job)

    def _described(self, thing: str, execution: Execution) -> dict[str, object]:
        document = self.jobs[execution.job].document
        if isinstance(document, dict) and str(document.get("url", "")).startswith(URL):
            # AWS signs a new one each time that a device asks.
            self._urls += 1
            document = document | {"url": f"https://signed.example.com/bundle?n={self._urls}"}
        return {
            "thingName": thing,
            "jobId": execution.job,
            "status": execution.status,
            "statusDetails": execution.details,
            "queuedAt": 1,
            "lastUpdatedAt": 1,
            "versionNumber": execution.version,
            "executionNumber": 1,
            "jobDocument": document,
        }
