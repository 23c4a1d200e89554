# SPDX-License-Identifier: MIT
"""Keys that live in a TPM, and the certificates of their makers."""
