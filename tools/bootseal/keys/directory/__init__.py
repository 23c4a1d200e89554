# SPDX-License-Identifier: MIT
"""A directory of keys over its life: create, rotate, audit, export."""
