"""What can be tested by one name: which tests, on what kind of cloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Area:
    name: str
    pattern: str
    """Tempest tests whose names match are the area's, among those of `listed` where it is given."""
    smoke: bool = False
    """Only tests that Tempest tags as smoke tests."""
    listed: str | None = None
    """A file of `interop/` that names the tests."""
    real: bool = False
    """Whether packets and guests are needed, so that the simulator will not do."""
    workers: int = 2
    """Tempest processes side by side, unless told otherwise."""

    @property
    def golden(self) -> Path:
        """The tests that passed before and so must pass."""
        return HERE / "passing" / f"{self.name}.txt"


AREAS = {
    area.name: area
    for area in (
        Area("identity", r"^tempest\.api\.identity\."),
        Area("image", r"^tempest\.api\.image\."),
        Area("compute", r"^tempest\.api\.compute\."),
        Area("network", r"^tempest\.api\.network\."),
        Area("object-storage", r"^tempest\.api\.object_storage\."),
        Area("smoke", r"^tempest\.api\.(identity|image|compute|network)\.", smoke=True),
        Area("scenario", r"^tempest\.scenario\.", real=True),
        Area("interop-compute", r"^tempest\.", listed="required-os_powered_compute.alive.txt"),
        Area("interop-storage", r"^tempest\.", listed="required-os_powered_storage.alive.txt"),
    )
}
