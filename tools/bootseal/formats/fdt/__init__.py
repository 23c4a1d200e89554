# SPDX-License-Identifier: MIT
"""Flattened device trees: read, edited and written."""
