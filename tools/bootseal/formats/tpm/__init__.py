# SPDX-License-Identifier: MIT
"""TPM 2.0 data: policies, structures and event logs."""
