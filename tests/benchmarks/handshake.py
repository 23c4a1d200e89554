# SPDX-License-Identifier: MIT
"""A TLS connection with the key in a software TPM next to one with a key file.

    python -m tests.benchmarks.handshake [--rounds 15]

Runs `openssl s_client` in turns against one mosquitto, from the program's start to the broker's
answer, so that whatever else the machine does hits both. Prints the median of each in milliseconds,
and of the ratio of two runs of one round; more than 6 ends with 1. A discrete TPM takes longer.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.integration.identity import clients
from tests.integration.identity.board import certified
from tests.integration.identity.servers import certify_file, trust_of

from bootseal.boot.catalogue.bench import servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.identity.board import Board

MOST: Final = 6.0


def milliseconds(board: Board, command: Sequence[str | Path]) -> float:
    """Return how long one connection takes."""
    environment = clients.environment(board)
    start = time.monotonic()
    done = subprocess.run(
        command, env=environment, input=clients.HELLO, capture_output=True, check=True
    )
    took = (time.monotonic() - start) * 1000
    assert done.stdout == clients.ACCEPTED
    board.flush()
    return took


def measure(root: Path, rounds: int) -> list[tuple[float, float]]:
    """Return for each round how long it takes with the TPM, and with a file."""
    with certified(root) as board:
        trust, own = trust_of(board, root), servers.Own.made(root, int(time.time()))
        key, certificate = certify_file(board, root, "dev-2")
        with servers.broker(root, trust, own) as broker:
            tpm = clients.openssl_command(board, broker, root / "pem")
            file = clients.openssl_command(board, broker, certificate, key=key)
            return [(milliseconds(board, tpm), milliseconds(board, file)) for _ in range(rounds)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory), parser.parse_args().rounds)
    tpm, file = (statistics.median(each) for each in zip(*found, strict=True))
    ratio = statistics.median(one / other for one, other in found)
    sys.stdout.write(f"TPM {tpm:.0f} ms, file {file:.0f} ms, ratio {ratio:.2f}\n")
    return 0 if ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
