# SPDX-License-Identifier: MIT
"""Finds keys and certificates in any bytes, in whatever form they are written."""
