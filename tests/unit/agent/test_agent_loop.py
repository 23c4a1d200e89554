# SPDX-License-Identifier: MIT
"""The agent's loop: which messages count, and what ends it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from tests.agent_samples import APP, APP_DOCUMENT, DEVICE, DOCUMENT, REMOVAL, REMOVE_DOCUMENT

from bootseal_agent import main, mqtt
from bootseal_agent.agent import Agent, Host, Times
from bootseal_agent.errors import InstallError
from bootseal_agent.events import Phase
from bootseal_agent.mqtt import Connection, Endpoint
from bootseal_agent.wire import Thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal_agent.document import App, Removal, Update
    from bootseal_agent.wire import Message

THING: Final = Thing(name="dev-1")
PREFIX: Final = "$aws/things/dev-1/jobs/"
NEXT: Final = PREFIX + "start-next/accepted"


@dataclass(slots=True)
class Broker:
    """What the agent published, and how it is stopped."""

    sent: list[Message] = field(default_factory=list)

    def publish(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def token(self) -> str:
        return str(json.loads(self.sent[-1].payload)["clientToken"])


@dataclass(slots=True)
class Waiting:
    """A double of RAUC that installs until it is told how that ended."""

    begun: int = 0
    bad: int = 0
    told: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    refusals: int = 0

    def install(self, update: Update, progress: Callable[[int, str], None]) -> None:
        del update, progress
        self.begun += 1
        assert self.told.wait(60)
        if self.error is not None:
            raise self.error

    def mark_bad(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise InstallError("already processing a different method", passing=True)
        self.bad += 1


@dataclass(slots=True)
class Downloading:
    """A double of what installs applications, which downloads until the job is over."""

    asked: list[object] = field(default_factory=list)
    cleared: int = 0

    def install(
        self, asked: App, progress: Callable[[int, str], None], unwanted: Callable[[], bool]
    ) -> str:
        progress(50, "download")
        self.asked.append(asked)
        until(unwanted)
        raise InstallError("the job is over")

    def remove(self, asked: Removal) -> str:
        self.asked.append(asked)
        return f"{asked.name} is removed"

    def clear(self) -> None:
        self.cleared += 1


@dataclass(slots=True)
class Bench:
    """An agent without a broker."""

    record: Path
    broker: Broker = field(default_factory=Broker)
    rauc: Waiting = field(default_factory=Waiting)
    apps: Downloading = field(default_factory=Downloading)
    restarts: list[str] = field(default_factory=list)
    times: Times = field(default_factory=lambda: Times(answer=1000, retry=1000, good=1000))

    def __post_init__(self) -> None:
        host = Host(
            device=DEVICE,
            installer=self.rauc,
            applications=self.apps,
            record=self.record,
            restart=lambda: self.restarts.append("restart"),
            is_good=lambda: True,
            times=self.times,
        )
        self.agent = Agent(THING, host)

    agent: Agent = field(init=False)

    def run(self, until: Callable[[], bool], turns: int = 100) -> None:
        """Let the agent work until something is so."""
        left = iter(range(turns))
        self.agent.run(self.broker, until=lambda: until() or next(left, None) is None)
        assert until()

    def turns(self, count: int) -> None:
        """Let the agent take that many events, which are there."""
        left = iter(range(count))
        self.agent.run(self.broker, until=lambda: next(left, None) is None)

    def offer(self, token: str, **more: object) -> None:
        described = {
            "jobId": "job-1",
            "status": "IN_PROGRESS",
            "versionNumber": 2,
            "executionNumber": 1,
            "jobDocument": DOCUMENT,
        }
        body = {"clientToken": token, "execution": described | more}
        self.agent.received(NEXT, json.dumps(body).encode())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(record=tmp_path / "record")


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to be so."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def asked(bench: Bench) -> str:
    """Connect; the token of the request that follows."""
    bench.agent.connected()
    bench.run(lambda: bool(bench.broker.sent))
    return bench.broker.token


def test_answer_counts_once_and_only_with_the_token_of_the_last_request(bench: Bench) -> None:
    first = asked(bench)
    bench.broker.sent.clear()
    second = asked(bench)
    assert first != second
    for token in ("t" * 16, first):
        bench.offer(token)
    bench.agent.received(PREFIX + "notify-next", b'{"timestamp": 1}')
    bench.turns(3)
    assert (bench.agent.phase, bench.rauc.begun) == (Phase.IDLE, 0)

    bench.offer(second)
    bench.offer(second)
    bench.turns(2)
    bench.run(lambda: bench.rauc.begun > 0)

    assert (bench.agent.phase, bench.rauc.begun) == (Phase.INSTALLING, 1)
    bench.rauc.told.set()


@pytest.mark.parametrize("token", ["\u00e9", "\ud800", "t" * 65, "a b", ""])
def test_token_that_the_agent_never_made_does_not_stop_it(bench: Bench, token: str) -> None:
    """An exception would end the connection's thread, and nothing more would be heard."""
    genuine = asked(bench)

    bench.offer(token)
    bench.offer(genuine)

    bench.run(lambda: bench.rauc.begun > 0)
    bench.rauc.told.set()


@pytest.mark.parametrize("timeout", [1.5, float("nan"), 10**4000], ids=["1.5", "NaN", "long"])
def test_document_of_another_program_is_rejected_and_not_asked_for_again(
    bench: Bench, timeout: float
) -> None:
    bench.offer(asked(bench), jobDocument=DOCUMENT | {"timeout": timeout})
    bench.turns(1)

    report = json.loads(bench.broker.sent[-1].payload)
    assert report["status"] == "REJECTED"
    assert "the unknown key 'timeout'" in report["statusDetails"]["reason"]


def test_download_ends_with_its_job(bench: Bench) -> None:
    bench.offer(asked(bench), jobDocument=APP_DOCUMENT)
    bench.run(lambda: bool(bench.apps.asked))
    assert bench.apps.asked == [APP]

    bench.agent.received(PREFIX + "notify-next", b'{"timestamp": 1}')
    bench.run(lambda: bench.broker.sent[-1].topic == PREFIX + "job-1/get")
    refused = {"clientToken": bench.broker.token, "code": "ResourceNotFound"}
    bench.agent.received(PREFIX + "job-1/get/rejected", json.dumps(refused).encode())

    bench.run(lambda: bench.agent.phase is Phase.IDLE, turns=1000)
    assert bench.apps.cleared == 1


def test_removal_is_asked_for_and_reported(bench: Bench) -> None:
    bench.offer(asked(bench), jobDocument=REMOVE_DOCUMENT)
    bench.run(lambda: bench.agent.phase is Phase.REPORTING, turns=1000)
    assert bench.apps.asked == [REMOVAL]

    state = {"executionState": {"versionNumber": 3}, "clientToken": bench.broker.token}
    bench.agent.received(PREFIX + "job-1/update/accepted", json.dumps(state).encode())
    bench.run(lambda: '"SUCCEEDED"' in bench.broker.sent[-1].payload.decode())

    report = json.loads(bench.broker.sent[-1].payload)
    assert report["statusDetails"] == {"reason": "hello is removed"}


def test_installer_that_fails_unexpectedly_is_heard_of(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.rauc.error = MemoryError("all of it")
    bench.offer(asked(bench))
    bench.run(lambda: bench.rauc.begun > 0)
    bench.rauc.told.set()

    bench.run(lambda: bench.agent.phase is Phase.REPORTING, turns=1000)

    assert "the install ended unexpectedly" in caplog.text


def test_record_that_cannot_be_written_does_not_restart_the_device(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(record=tmp_path / "missing" / "record")
    bench.rauc.told.set()
    bench.offer(asked(bench))

    bench.run(lambda: bench.rauc.bad == 1)

    assert (bench.agent.phase, bench.restarts) == (Phase.REPORTING, [])
    assert "the record is not written" in caplog.text
    assert bench.broker.sent[-1].topic == PREFIX + "job-1/get"


def test_slot_that_could_not_be_marked_bad_is_marked_later(tmp_path: Path) -> None:
    times = Times(answer=1000, retry=0.05, good=1000)
    bench = Bench(record=tmp_path / "missing" / "record", times=times)
    bench.rauc.refusals = 2
    bench.rauc.told.set()
    bench.offer(asked(bench))

    bench.run(lambda: bench.rauc.bad == 1)

    assert (bench.agent.phase, bench.rauc.refusals) == (Phase.REPORTING, 0)


def test_slot_is_marked_bad_once_an_install_has_ended_that_nobody_waited_for(
    tmp_path: Path,
) -> None:
    bench = Bench(record=tmp_path / "record", times=Times(answer=1000, retry=0.05, good=1000))
    bench.rauc.error = InstallError("no end", ongoing=True)
    bench.rauc.refusals = 2
    bench.rauc.told.set()
    bench.offer(asked(bench))

    bench.run(lambda: bench.rauc.bad == 1)

    assert (bench.agent.phase, bench.rauc.refusals) == (Phase.REPORTING, 0)


class Listener:
    """What hears of a connection."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def connected(self) -> None:
        self.heard.append("connected")

    def received(self, topic: str, payload: bytes) -> None:
        del payload
        self.heard.append(topic)


def connection(listener: Listener, port: int = 8883) -> Connection:
    """Make a connection without certificates."""
    path = Path("/nowhere")
    endpoint = Endpoint(host="localhost", port=port, ca=path, certificate=path, key=path)
    return Connection(endpoint, THING, listener)


def test_message_with_a_topic_that_is_not_text_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "context", lambda _: ssl.create_default_context())
    listener = Listener()
    for topic in (b"$aws/\xff", NEXT.encode()):
        connection(listener)._on_message(None, None, MQTTMessage(topic=topic))

    assert listener.heard == [NEXT]


def test_connection_that_fails_is_tried_again_later_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: set[int] = set()

    def set_pause(_: object, shortest: int, longest: int) -> None:
        assert 5 <= shortest < 15 < longest
        pauses.add(shortest)

    monkeypatch.setattr(Client, "reconnect_delay_set", set_pause)
    monkeypatch.setattr(Endpoint, "context", lambda _: ssl.create_default_context())
    for _ in range(50):
        connection(Listener())
    assert len(pauses) > 1

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made = connection(Listener(), port)
    made.open()
    until(lambda: "no connection to localhost: " in caplog.text)
    made.close()
    assert "refused" in caplog.text


def test_refused_subscription_is_asked_for_again_ever_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker may leave the connection open, and then nothing else would ever ask."""
    asked: list[object] = []

    class Refusing:
        def subscribe(self, topics: object) -> None:
            asked.append(topics)

    monkeypatch.setattr(mqtt, "_PAUSE", (0, 0))
    monkeypatch.setattr(Endpoint, "context", lambda _: ssl.create_default_context())
    listener = Listener()
    made = connection(listener)
    refused = [ReasonCode(PacketTypes.SUBACK, identifier=128)]
    for count in (1, 2):
        made._on_subscribe(Refusing(), None, 1, refused, None)  # type: ignore[arg-type]
        until(lambda count=count: len(asked) == count)  # type: ignore[misc]
    assert listener.heard == []
    assert caplog.text.count("the broker refuses a subscription of dev-1") == 2

    taken = [ReasonCode(PacketTypes.SUBACK, identifier=1)]
    made._on_subscribe(Refusing(), None, 1, taken, None)  # type: ignore[arg-type]

    assert listener.heard == ["connected"]
    assert asked[0] == [(topic, 1) for topic in THING.subscriptions]


def test_process_ends_with_any_of_its_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(threading, "excepthook", main._end)

    def fails() -> None:
        raise IndexError("a packet that ends too early")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join(60)

    assert codes == [1]
    assert "IndexError: a packet that ends too early" in caplog.text
