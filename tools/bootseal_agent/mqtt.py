# SPDX-License-Identifier: MIT
"""The connection to the broker: mutual TLS by a key that may be in a TPM, and one thing's topics.

The key is what OpenSSL takes for a private key in a file: a key, or the URI of a PKCS#11 token in
PEM form with pkcs11-provider. Nothing is kept for later: what was sent while nobody listened is
asked for again.

Spec: MQTT 3.1.1; AWS IoT Core, device communication protocols (port 8883, or 443 with ALPN).
"""

from __future__ import annotations

import logging
import secrets
import ssl
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bootseal_agent.wire import MAX_MESSAGE, Message, Thing

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

_ALPN: Final = "x-amzn-mqtt-ca"
_HTTPS: Final = 443
_KEEPALIVE: Final = 300
_PAUSE: Final = (5, 240)
_SPREAD: Final = 10
_log: Final = logging.getLogger(__name__)


class Listener(Protocol):
    """What is told of a connection; called from the connection's own thread."""

    def connected(self) -> None:
        """Be told that the subscriptions were taken."""

    def received(self, topic: str, payload: bytes) -> None:
        """Take a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A broker, and what the device proves its identity with.

    Attributes:
        host: Its name, which its certificate has to have.
        port: Its port; 443 is asked for MQTT by ALPN.
        ca: The authorities that may have certified it, PEM.
        certificate: The device's certificate, PEM.
        key: The device's key, or the URI of one in a token, PEM.
    """

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return the TLS context: the server is verified, and the device proves itself.

        Raises:
            OSError: A file cannot be read, or OpenSSL does not take the key.
        """
        made = ssl.create_default_context(cafile=str(self.ca))
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.load_cert_chain(self.certificate, self.key)
        if self.port == _HTTPS:
            made.set_alpn_protocols([_ALPN])
        return made


def pause_after(refusals: int) -> int:
    """Return the seconds to wait after a refusal that had so many before it.

    >>> [pause_after(each) for each in (0, 1, 2, 9)]
    [5, 10, 20, 240]
    """
    shortest, longest = _PAUSE
    return min(shortest << min(refusals, 16), longest)


class Connection:
    """A connection that comes back by itself.

    Args:
        endpoint: The broker.
        thing: The thing; its name is the client's.
        listener: What is told.
    """

    def __init__(self, endpoint: Endpoint, thing: Thing, listener: Listener) -> None:
        self._endpoint = endpoint
        self._thing = thing
        self._listener = listener
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=thing.name, protocol=paho.MQTTv311
        )
        self._client.tls_set_context(endpoint.context())
        # From a broker that takes a connection and drops it, the first pause is the only one. And a
        # fleet that lost its broker must not come back in step.
        shortest, longest = _PAUSE
        self._client.reconnect_delay_set(shortest + secrets.randbelow(_SPREAD), longest)
        self._refusals = 0
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def open(self) -> None:
        """Begin to connect; the listener is told when that succeeded."""
        self._client.connect_async(self._endpoint.host, self._endpoint.port, _KEEPALIVE)
        self._client.loop_start()

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, message: Message) -> None:
        """Send a message, if there is a connection; a lost one is asked for again."""
        if self._client.is_connected():
            self._client.publish(message.topic, message.payload, qos=1)

    def _on_connect(
        self,
        client: paho.Client,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            _log.warning("the broker refuses the connection: %s", reason)
            return
        self._subscribe(client)

    def _subscribe(self, client: paho.Client) -> None:
        client.subscribe([(topic, 1) for topic in self._thing.subscriptions])

    def _on_connect_fail(self, _client: object, _data: object) -> None:
        # paho keeps the reason to itself, but asks from where it handles it.
        _log.warning("no connection to %s: %s", self._endpoint.host, sys.exc_info()[1])

    def _on_disconnect(
        self,
        _client: object,
        _data: object,
        _flags: object,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        _log.info("the connection has ended: %s", reason)

    def _on_subscribe(
        self,
        client: paho.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: object,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            # Rights may come later than the device, and a broker need not end the connection.
            pause = pause_after(self._refusals)
            self._refusals += 1
            _log.warning(
                "the broker refuses a subscription of %s: again in %d s", self._thing.name, pause
            )
            again = threading.Timer(pause, self._subscribe, [client])
            again.daemon = True
            again.start()
            return
        self._refusals = 0
        self._listener.connected()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # An exception would end the connection's thread.
        if len(message.payload) <= MAX_MESSAGE:
            self._listener.received(topic, message.payload)
