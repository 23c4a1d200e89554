# SPDX-License-Identifier: MIT
"""Remote attestation: enrol devices, challenge them, verify what they answer."""
