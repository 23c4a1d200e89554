# SPDX-License-Identifier: MIT
"""Flattened image trees: the model and the bytes a signature covers."""
