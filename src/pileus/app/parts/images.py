"""Images, with their stores."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from pileus.app.parts import Bench
from pileus.drivers.image.fetch import HttpFetcher
from pileus.drivers.image.file import FileStore
from pileus.drivers.image.http import HttpStore
from pileus.drivers.image.qemu_img import QemuImg
from pileus.kernel.clock import Clock
from pileus.kernel.config import ConfigError
from pileus.kernel.work import Program
from pileus.lib.address_guard import Guard
from pileus.services.image import work
from pileus.services.image.driver import Store
from pileus.services.image.metadef import catalogue
from pileus.services.image.needs import Catalog, IdentityLimits
from pileus.services.image.settings import Settings
from pileus.services.image.shelves import Shelf, Shelves
from pileus.services.image.state import ImageState
from pileus.services.image.store_settings import StoreSettings


class Images:
    def __init__(self, bench: Bench) -> None:
        self._db = bench.db
        self._runtime = bench.runtimes["image"]
        self._images = replace(
            image_stores(bench.settings.image, bench.state / "image", bench.node, bench.clock),
            limits=IdentityLimits(bench.peer("identity"), bench.clock),
            regions=Catalog(bench.peer("identity")),
        )
        self._runtime.state = self._images

    async def start(self, undo: AsyncExitStack) -> None:
        await self._images.start()
        undo.push_async_callback(self._images.close)

    def programs(self) -> Sequence[Program]:
        return work.programs(self._runtime)

    async def attach(self, admin_project: str | None) -> None:
        await self._db.write(catalogue.lay)


def image_stores(settings: Settings, folder: Path, node: str, clock: Clock) -> ImageState:
    """Stores as the settings name them, the stage and the cache in `folder`."""
    guard = Guard.of(settings.import_allowed_ports, settings.import_allowed_networks)
    fetcher = HttpFetcher(guard)
    shelves = [
        Shelf(_store(name, each, folder, fetcher, clock), each.description, each.weight)
        for name, each in (settings.stores or {"file": StoreSettings()}).items()
    ]
    return ImageState(
        Shelves(shelves, settings.default_store),
        stage=FileStore(folder / "stage", "stage"),
        cache=FileStore(folder / "cache", "cache"),
        fetcher=fetcher,
        settings=settings,
        converter=QemuImg(),
        node=node,
    )


def _store(name: str, settings: StoreSettings, folder: Path, fetcher: HttpFetcher, clock: Clock) -> Store:
    """Raises ConfigError where an option is missing."""
    for option in settings.missing():
        raise ConfigError(f"image.stores.{name} is of type {settings.type}, and needs {option}")
    match settings.type:
        case "http":
            return HttpStore(name, fetcher)
        case "swift":
            from pileus.drivers.image.swift import SwiftStore

            return SwiftStore(name, settings, clock)
        case "s3":
            from pileus.drivers.image.s3 import S3Store

            return S3Store(name, settings, clock)
        case "file":
            # The first store that there was is where it always was.
            own = folder / "data" if name == "file" else folder / f"data-{name}"
            return FileStore(Path(settings.path) if settings.path else own, name)
