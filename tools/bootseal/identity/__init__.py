# SPDX-License-Identifier: MIT
"""Device identity: verify that a key is in a device's TPM, certify it, record what was issued."""
