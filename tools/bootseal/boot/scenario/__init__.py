# SPDX-License-Identifier: MIT
"""A scenario: what it asks for, how it is run, and how its end is evaluated."""
