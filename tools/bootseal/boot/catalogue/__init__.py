# SPDX-License-Identifier: MIT
"""The catalogue of scenarios."""
