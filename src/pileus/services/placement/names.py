"""The names that every cloud knows: standard traits and resource classes, as OpenStack's libraries list them.

The libraries are imported when first needed: reading all of os-traits takes some 50 ms.
"""

from __future__ import annotations

from functools import cache

CUSTOM = "CUSTOM_"
CUSTOM_PATTERN = r"^CUSTOM_[A-Z0-9_]+\Z"
"""What a cloud's own traits and resource classes are called."""


@cache
def standard_classes() -> tuple[str, ...]:
    """In the order in which they came to be."""
    import os_resource_classes

    return tuple(os_resource_classes.STANDARDS)


@cache
def standard_traits() -> frozenset[str]:
    import os_traits

    return frozenset(os_traits.get_traits())
