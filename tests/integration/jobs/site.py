# SPDX-License-Identifier: MIT
"""A real mosquitto with mutual TLS and what each thing may do there; certificates; the double."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from tests import aws_models

from bootseal.boot.catalogue.bench.dataplane import DataPlane
from bootseal_agent.mqtt import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from bootseal.boot.catalogue.bench.dataplane import Answer

# What the policy of `bootseal identity export --format aws` allows, in mosquitto's words.
ACL: Final = """\
user aws
topic readwrite $aws/things/#
pattern read $aws/things/%u/jobs/#
pattern write $aws/things/%u/jobs/start-next
pattern write $aws/things/%u/jobs/+/get
pattern write $aws/things/%u/jobs/+/update
"""


@dataclass(slots=True, kw_only=True)
class Authority:
    """A certificate authority, with the files that it writes."""

    directory: Path
    name: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.certificate.write_bytes(self._certify(self.name, self.key, ca=True))

    @property
    def certificate(self) -> Path:
        return self.directory / f"{self.name}.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Make a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        certificate.write_bytes(self._certify(name, key, ca=False))
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        private.write_bytes(key.private_bytes(*form))
        return certificate, private

    def _certify(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        now, ours = datetime.now(UTC), self.key.public_key()
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ) | {"encipher_only": False, "decipher_only": False}
        builder = x509.CertificateBuilder(
            issuer_name=named(self.name),
            subject_name=named(name),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(hours=1),
            not_valid_after=now + timedelta(days=1),
        )
        # All that Python 3.13's strict check asks for.
        made = (
            builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **usage),
                critical=True,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self.key, SHA256())
        )
        return made.public_bytes(Encoding.PEM)


@dataclass(slots=True)
class Traffic:
    """What the double got and sent: messages, and bytes of their topics and payloads."""

    got: int = 0
    got_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A broker, the authority for its clients, and the double behind it.

    In what the double sends, `texts` replaces one part by another: what no writer of JSON writes.
    """

    port: int
    authority: Authority
    plane: DataPlane
    push: Callable[[Iterable[Answer]], None]
    traffic: Traffic
    texts: dict[bytes, bytes]
    log: Path

    def endpoint(self, name: str, authority: Authority | None = None) -> Endpoint:
        """Return what a thing needs to connect."""
        certificate, key = (authority or self.authority).issue(name)
        ca = self.authority.certificate
        return Endpoint(host="localhost", port=self.port, ca=ca, certificate=certificate, key=key)


@dataclass(slots=True)
class _Office:
    """The double at the broker: it hears what all things ask, and answers."""

    endpoint: Endpoint
    plane: DataPlane
    traffic: Traffic = field(default_factory=Traffic)
    texts: dict[bytes, bytes] = field(default_factory=dict)
    client: paho.Client = field(init=False)
    ready: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="aws", protocol=paho.MQTTv311
        )
        self.client.tls_set_context(self.endpoint.context())
        self.client.on_message = self._received
        self.client.on_subscribe = lambda *_: self.ready.set()

    def open(self) -> None:
        self.client.connect(self.endpoint.host, self.endpoint.port)
        topics = ("start-next", "+/get", "+/update")
        self.client.subscribe([(f"$aws/things/+/jobs/{topic}", 1) for topic in topics])
        self.client.loop_start()

    def push(self, answers: Iterable[Answer]) -> None:
        for topic, body in answers:
            payload = json.dumps(body).encode()
            for old, new in self.texts.items():
                payload = payload.replace(old, new)
            # From here and from the connection's thread.
            with self._lock:
                self.traffic.sent += 1
                self.traffic.sent_bytes += len(topic) + len(payload)
            self.client.publish(topic, payload, qos=1)

    def _received(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.traffic.got += 1
        self.traffic.got_bytes += len(message.topic) + len(message.payload)
        self.push(self.plane.handle(message.topic, message.payload))


def _wrong(operation: str, parameters: dict[str, object]) -> str:
    """Hold a request against botocore's model of the service."""
    try:
        aws_models.check("iot-jobs-data", operation, parameters)
    except AssertionError as error:
        return f"{error}"
    return ""


@contextmanager
def opened(directory: Path) -> Iterator[Site]:
    """Run the broker and the double."""
    authority = Authority(directory=directory / "ca", name="authority")
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    certificate, key = authority.issue("localhost")
    (directory / "acl").write_text(ACL)
    log = directory / "broker.log"
    lines = [
        f"listener {port} 127.0.0.1",
        f"cafile {authority.certificate}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        # As AWS's policy has it: a thing connects under its own name.
        "use_username_as_clientid true",
        f"acl_file {directory / 'acl'}",
        f"log_dest file {log}",
        "max_queued_messages 0",
        "user root",
    ]
    (directory / "broker.conf").write_text("\n".join(lines) + "\n")
    plane = DataPlane(_wrong)
    with subprocess.Popen(["/usr/sbin/mosquitto", "-c", directory / "broker.conf"]) as running:
        try:
            _wait(running, port)
            certificate, key = authority.issue("aws")
            endpoint = Endpoint(
                host="localhost",
                port=port,
                ca=authority.certificate,
                certificate=certificate,
                key=key,
            )
            office = _Office(endpoint, plane)
            office.open()
            assert office.ready.wait(60)
            yield Site(
                port=port,
                authority=authority,
                plane=plane,
                push=office.push,
                traffic=office.traffic,
                texts=office.texts,
                log=log,
            )
            office.client.disconnect()
            office.client.loop_stop()
        finally:
            running.terminate()


def _wait(running: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert running.poll() is None, "mosquitto did not start"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("mosquitto does not listen")
