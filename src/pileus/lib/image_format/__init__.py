"""What an image is, found from its bytes as they stream by.

`Inspector` recognises disk images, installation media and archives of root filesystems, and whether an
image is safe to hand to a hypervisor. Names of formats are what the bytes are; `is_stored_as` says which
of them an image service's `disk_format` may hold.
"""

from pileus.lib.image_format.inspector import Inspection, Inspector, is_stored_as

__all__ = ["Inspection", "Inspector", "is_stored_as"]
