# SPDX-License-Identifier: MIT
"""What makes a device known to AWS IoT: a plan that can be read, and what runs it."""
