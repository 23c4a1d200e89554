# SPDX-License-Identifier: MIT
"""A client of AWS IoT Jobs with awscrt, the library below AWS's own SDKs, in a process of its own.

awscrt has threads, which a process that has other processes forked from it must not have.

Arguments: the certificate, its key, the CA, a port of localhost, the name of the thing. Each line
of standard input is a JSON list of a topic and a body to publish, and is answered with a line of
the next message: its topic and its body. Topics are those below the thing's jobs.
"""

from __future__ import annotations

import json
import queue
import sys

from awscrt import io, mqtt

_TIMEOUT = 60


def main() -> None:
    certificate, key, authority, port, thing = sys.argv[1:]
    prefix = f"$aws/things/{thing}/jobs/"
    options = io.TlsContextOptions.create_client_with_mtls_from_path(certificate, key)
    options.override_default_trust_store_from_path(None, authority)
    connection = mqtt.Connection(
        client=mqtt.Client(tls_ctx=io.ClientTlsContext(options)),
        host_name="localhost",
        port=int(port),
        client_id=thing,
    )
    connection.connect().result(_TIMEOUT)
    answers: queue.Queue[tuple[str, object]] = queue.Queue()

    def received(topic: str, payload: bytes, **_: object) -> None:
        answers.put((topic.removeprefix(prefix), json.loads(payload)))

    for topic in ("start-next/+", "+/get/+", "+/update/+"):
        future, _ = connection.subscribe(prefix + topic, mqtt.QoS.AT_LEAST_ONCE, received)
        future.result(_TIMEOUT)
    for line in sys.stdin:
        topic, body = json.loads(line)
        connection.publish(prefix + topic, json.dumps(body), mqtt.QoS.AT_LEAST_ONCE)
        print(json.dumps(answers.get(timeout=_TIMEOUT)), flush=True)  # noqa: T201 - the answer
    connection.disconnect().result(_TIMEOUT)


if __name__ == "__main__":
    main()
