# SPDX-License-Identifier: MIT
"""Measured boot: predict PCR values and sign the policies over them."""
