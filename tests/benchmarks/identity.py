# SPDX-License-Identifier: MIT
"""How many proofs of identity keys one core verifies in a second, from the bytes to the verdict.

    python -m tests.benchmarks.identity

Counts processor seconds, so that a busy machine gives about the same figure as an idle one; fewer
than 500 a second end with 1.
"""

from __future__ import annotations

import sys
import time

from tests import identity_samples as samples

from bootseal import documents
from bootseal.identity import messages, verify

ROUNDS = 500
LEAST = 500


def main() -> int:
    """Print the figure."""
    device = samples.Device()
    listed, _ = samples.release(device.kernel)
    verifier, record = verify.Verifier(listed), device.record
    sent = documents.dump(device.answer())
    start = time.process_time()
    for _ in range(ROUNDS):
        proof = messages.parse(sent)
        assert verifier.inspect(proof, record, samples.CHALLENGE, samples.NOW).accepted
    rate = ROUNDS / (time.process_time() - start)
    sys.stdout.write(f"ecdsa256: {rate:.0f} proofs a second\n")
    return 0 if rate >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
