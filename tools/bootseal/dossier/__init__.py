# SPDX-License-Identifier: MIT
"""All that is known of a release, put together from its files; what nothing vouches for is told."""
