"""From settings to a running cloud, and the other way."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pileus.app import drivers, services
from pileus.app.cloud import LocalCloud, node_name
from pileus.app.settings import Settings
from pileus.cli.composition import Finding, Progress
from pileus.kernel import config


class Composer:
    """See `pileus.cli.composition.Composer`."""

    def settings(self, file: Path | None, overrides: Mapping[str, Any]) -> Settings:
        settings = config.load(Settings, file, os.environ, overrides)
        drivers.chosen(settings)
        services.chosen(settings)
        return settings

    def cloud(self, settings: Settings, state: Path) -> LocalCloud:
        return LocalCloud(settings, state)

    async def teardown(self, settings: Settings, state: Path, progress: Progress) -> None:
        if drivers.is_in_memory(settings) or not services.HOST.intersection(services.chosen(settings)):
            return
        progress("Guests and networks end; their disks stay.")
        await drivers.teardown(settings, state, node_name(settings))

    def needs_host(self, settings: Settings) -> bool:
        return services.needs_host(settings)

    def examine(self, settings: Settings, state: Path) -> list[Finding]:
        from pileus.app.examine import examine

        return examine(settings, state)
