"""How long things may take, and how often they are looked at again."""

from __future__ import annotations

from typing import Final

REALIZE_SECONDS: Final = 60.0
"""Until a new thing must be in the engine; after that it is an error."""
WAIT_SECONDS: Final = 1.0
"""Between looks at what something else has to do first. Its strand wakes who waits; this is for the rest."""
DRIFT_SECONDS: Final = 600.0
"""Between looks at what nobody has touched."""
UP_SECONDS: Final = 2.0
"""Between looks at a bound port that no traffic flows through yet; the engine says so at once, too."""
