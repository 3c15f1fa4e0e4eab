"""What the command line needs of the composition root, which lies above it and is imported only when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Progress = Callable[[str], None]
"""Told of each step as it begins, in a few words for the person who waits."""


@dataclass(frozen=True)
class Finding:
    """What `doctor` found of one prerequisite."""

    name: str
    ok: bool
    said: str
    remedy: str | None = None
    """The exact command or change that helps, where it is not ok."""
    needed: bool = True
    """Whether the cloud can't do without."""


class TeardownFailed(Exception):
    """Something of the cloud is left on the host; the message says why."""


class Cloud(Protocol):
    """A control plane in this process."""

    async def start(self, progress: Progress) -> None:
        """Returns when clients are answered."""

    async def stop(self) -> None:
        """Ends the control plane; guests, networks and state stay."""


class Composer(Protocol):
    """Builds clouds from settings."""

    def settings(self, file: Path | None, overrides: Mapping[str, Any]) -> Any:
        """Raises kernel.config.ConfigError."""

    def cloud(self, settings: Any, state: Path) -> Cloud: ...

    async def teardown(self, settings: Any, state: Path, progress: Progress) -> None:
        """Ends what outlives the control plane: guests, network daemons, namespaces, links. State stays.

        Raises TeardownFailed.
        """

    def needs_host(self, settings: Any) -> bool:
        """Whether guests and networks of such a cloud are the host's: it then needs root, and much else."""

    def examine(self, settings: Any, state: Path) -> list[Finding]:
        """Looks at the host; changes nothing but what it cleans up again."""
