# SPDX-License-Identifier: MIT
"""Reports of what was found: JSON, JUnit and HTML."""
