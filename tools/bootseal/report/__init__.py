# SPDX-License-Identifier: MIT
"""Reports of what was found, for people and CI systems: HTML, SVG, SARIF, JUnit and JSON."""
