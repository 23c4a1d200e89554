# SPDX-License-Identifier: MIT
"""Jobs, devices and messages for tests of the agent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from bootseal_agent.document import App, Asked, Removal, Update
from bootseal_agent.events import Device, Execution, Status

BOOT: Final = "11111111-2222-4333-8444-555555555555"
LATER: Final = "66666666-7777-4888-9999-aaaaaaaaaaaa"
DEVICE: Final = Device(
    slot="a", version="1.0", compatible="bootseal-qemuarm64", good=True, boot=BOOT
)
DOCUMENT: Final[dict[str, object]] = {
    "schema": "bootseal.job/1",
    "operation": "update",
    "url": "https://updates.example.com/2.0.raucb?X-Amz-Signature=0a1b",
    "version": "2.0",
    "compatible": "bootseal-qemuarm64",
    "manifest_sha256": "ab" * 32,
    "size": 72_018_518,
}
UPDATE: Final = Update(
    url="https://updates.example.com/2.0.raucb?X-Amz-Signature=0a1b",
    version="2.0",
    compatible="bootseal-qemuarm64",
    manifest_sha256="ab" * 32,
    size=72_018_518,
)

APP_DOCUMENT: Final[dict[str, object]] = {
    "schema": "bootseal.job/1",
    "operation": "app",
    "name": "hello",
    "version": "1.2.0",
    "url": "https://updates.example.com/hello.raw?X-Amz-Signature=0a1b",
    "sha256": "cd" * 32,
    "size": 1_200_128,
}
APP: Final = App(
    name="hello",
    version="1.2.0",
    url="https://updates.example.com/hello.raw?X-Amz-Signature=0a1b",
    sha256="cd" * 32,
    size=1_200_128,
)
REMOVE_DOCUMENT: Final[dict[str, object]] = {
    "schema": "bootseal.job/1",
    "operation": "app-remove",
    "name": "hello",
}
REMOVAL: Final = Removal(name="hello")

_NOTHING: Final = "00" * 32
INSPECTED: Final = (
    (
        '{"type":"a{sv}","data":[{"update":{"type":"v","data":{"type":"a{sv}","data":{"version":'
        '{"type":"s","data":"2.0"},"compatible":{"type":"s","data":"bootseal-qemuarm64"}}}},"images":'
        '{"type":"v","data":{"type":"aa{sv}","data":[{"slot-class":{"type":"s","data":"root"},'
        '"filename":{"type":"s","data":"root.img"},"checksum":{"type":"s","data":"NOTHING"},"hooks":'
        '{"type":"as","data":[]}}]}},"manifest-hash":{"type":"s","data":"HASH"},"bundle":{"type":"v",'
        '"data":{"type":"a{sv}","data":{"format":{"type":"s","data":"verity"},"verity-salt":{"type":'
        '"s","data":"NOTHING"},"verity-hash":{"type":"s","data":"NOTHING"}}}},"meta":{"type":"v",'
        '"data":{"type":"a{sa{ss}}","data":{}}}}]}'
    )
    .replace("HASH", UPDATE.manifest_sha256)
    .replace("NOTHING", _NOTHING)
)
"""What RAUC 1.13 of Debian 13 answered to busctl, but for the digests."""


def execution(
    *,
    job: str = "job-1",
    number: int = 1,
    version: int = 2,
    status: Status = Status.IN_PROGRESS,
    asked: Asked | None = UPDATE,
    fault: str = "",
) -> Execution:
    return Execution(
        job=job, number=number, version=version, status=status, asked=asked, fault=fault
    )


@dataclass(frozen=True, slots=True)
class Malformed:
    """A document that is refused.

    Attributes:
        title: What is wrong with it.
        text: The document, JSON or not.
        said: What the refusal says, a regular expression.
    """

    title: str
    text: str
    said: str


def _changed(title: str, said: str, **changes: object) -> Malformed:
    return Malformed(title, json.dumps(DOCUMENT | changes), said)


def _app(title: str, said: str, **changes: object) -> Malformed:
    return Malformed(f"application, {title}", json.dumps(APP_DOCUMENT | changes), said)


def _removal(title: str, said: str, **changes: object) -> Malformed:
    return Malformed(f"removal, {title}", json.dumps(REMOVE_DOCUMENT | changes), said)


def _without(key: str, said: str) -> Malformed:
    kept = {name: value for name, value in DOCUMENT.items() if name != key}
    return Malformed(f"no {key}", json.dumps(kept), said)


_URL: Final = "has url"
MALFORMED: Final = (
    _changed("another schema", "has schema 'bootseal.job/2'", schema="bootseal.job/2"),
    _without("schema", "has schema None"),
    _changed("another operation", "has operation 'run'", operation="run"),
    _without("operation", "has operation None"),
    _changed("a command", "has the unknown key 'command'", command="reboot"),
    _changed("a path", "has the unknown key 'path'", path="/bin/sh"),
    _changed("a user", "has the unknown key 'runAsUser'", runAsUser="root"),
    _changed("steps of AWS's device client", "has the unknown key 'steps'", steps=[]),
    _changed("http", _URL, url="http://updates.example.com/2.0.raucb"),
    _changed("file", _URL, url="file:///data/2.0.raucb"),
    _changed("a local path", _URL, url="/data/2.0.raucb"),
    _changed("no host", _URL, url="https:///2.0.raucb"),
    _changed("a user name in front of the host", _URL, url="https://good.example@evil.example/"),
    _changed("a fragment", _URL, url="https://updates.example.com/#2"),
    _changed("a space", _URL, url="https://updates.example.com/a b"),
    _changed("a line end", _URL, url="https://updates.example.com/\n--help"),
    _changed("a port that is not one", _URL, url="https://updates.example.com:99999/"),
    _changed("a long URL", _URL, url="https://updates.example.com/" + "a" * 4096),
    _changed("a URL of another type", _URL, url=["https://updates.example.com/"]),
    _without("url", _URL),
    _changed("an option for a version", "has version '--help'", version="--help"),
    _changed("five numbers", "has version", version="1.2.3.4.5"),
    _changed("leading zeros", "has version", version="01.2"),
    _changed("a number for a version", "has version 2", version=2),
    _changed("a board with a slash", "has compatible", compatible="../board"),
    _changed("an empty board", "has compatible", compatible=""),
    _changed("a short digest", "has manifest_sha256", manifest_sha256="ab" * 31),
    _changed("capitals in a digest", "has manifest_sha256", manifest_sha256="AB" * 32),
    _changed("true for a size", "has size True", size=True),
    _changed("no bytes", "has size 0", size=0),
    _changed("too many bytes", "has size", size=(8 << 30) + 1),
    _changed("text for a size", "has size '5'", size="5"),
    _changed("a key of applications", "has the unknown key 'name'", name="hello"),
    _app("a key of updates", "has the unknown key 'compatible'", compatible="board"),
    _app("a path", "has the unknown key 'path'", path="/data/apps"),
    _app("no name", "has name None", name=None),
    _app("a name with a slash", "has name '../hello'", name="../hello"),
    _app("a name with a dot", "has name 'a.b'", name="a.b"),
    _app("a name that is an option", "has name '--now'", name="--now"),
    _app("a name with an instance", "has name 'a@b'", name="a@b"),
    _app("a long name", "has name 'aaaa", name="a" * 28),
    _app("a version with a slash", "has version '1/2'", version="1/2"),
    _app("a version with a counter", "has version", version="1+3-0"),
    _app("a version with a part of a name", "has version", version="1_arm64"),
    _app("a version that is an option", "has version", version="-1"),
    _app("a version with two lines", "has version", version="1\n2"),
    _app("http", _URL, url="http://updates.example.com/hello.raw"),
    _app("a short digest", "has sha256", sha256="cd" * 31),
    _app("a path for a digest", "has sha256", sha256="../" * 21 + "a"),
    _app("no bytes", "has size 0", size=0),
    _app("too many bytes", "has size", size=(8 << 30) + 1),
    _removal("a version", "has the unknown key 'version'", version="1"),
    _removal("no name", "has name None", name=None),
    _removal("a name with a space", "has name 'a b'", name="a b"),
    _removal("a list of names", "has name", name=["hello"]),
    Malformed("text", '"update"', "expected an object"),
    Malformed("a list", "[1]", "expected an object"),
)
"""Documents that JSON can carry and that are refused."""


def _odd(title: str, said: str, text: str) -> Malformed:
    """Return the genuine document with a member more, as text."""
    return Malformed(title, f"{json.dumps(DOCUMENT)[:-1]}, {text}}}", said)


ODD: Final = (
    _odd("a key twice", "has url twice in one object", '"url": "https://evil.example.com/"'),
    _odd("the schema twice", "has schema twice in one object", '"schema": "bootseal.job/1"'),
    _odd("a fraction of another program", "unknown key 'timeout'", '"timeout": 1.5'),
    _odd("a key twice further inside", "unknown key 'steps'", '"steps": [{"a": 1, "a": 2}]'),
    Malformed("a fraction", json.dumps(DOCUMENT | {"size": 1.5}), "has size 1.5"),
    Malformed("not a number", json.dumps(DOCUMENT | {"size": float("nan")}), "has size NaN"),
    Malformed("no end", json.dumps(DOCUMENT | {"size": float("inf")}), "has size Infinity"),
    Malformed(
        "many digits", json.dumps(DOCUMENT | {"size": 0})[:-2] + "9" * 5000 + "}", "has size 9"
    ),
    Malformed("half a surrogate pair", json.dumps(DOCUMENT | {"url": "https://\ud800"}), _URL),
    _odd("half a pair in a key", "has the unknown key", r'"\ud800": 1'),
)
"""Documents with what readers of JSON could see differently: refused as any other."""


BROKEN: Final = (
    Malformed("an end too early", '{"schema": "bootseal.job/1"', "is not JSON"),
    Malformed("deep", '{"a":' * 20000 + "1" + "}" * 20000, "is not JSON"),
)
"""Texts that are not JSON, or nobody's; each spoils the whole message that it is in."""
