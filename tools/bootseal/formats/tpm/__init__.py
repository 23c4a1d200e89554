# SPDX-License-Identifier: MIT
"""What TPM 2.0 reads and writes: policies, structures and event logs."""
