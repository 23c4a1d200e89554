# SPDX-License-Identifier: MIT
"""Binary formats: bytes to models and back. No input or output, no cryptography."""
