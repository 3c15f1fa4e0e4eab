"""`pileus image`: guest images, built on this host from Debian packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pileus.cli.image_build import ImageBuildError, build_debian, build_micro
from pileus.cli.options import default_state

out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: default_state() / "images",
    show_default="images, in the state folder",
    help="Folder for what is made.",
)
cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: default_state() / "cache",
    show_default="cache, in the state folder",
    help="Folder that keeps downloaded packages for the next time.",
)


@click.group("image")
def image() -> None:
    """Guest images to upload into a cloud."""


@image.group("build")
def build() -> None:
    """Build a guest image from Debian packages. Needs root."""


@build.command("micro")
@out_option
@cache_option
def micro(out: Path, cache: Path) -> None:
    """A guest of some 30 MB that answers SSH within seconds, for tests and demonstrations.

    Makes micro.qcow2 (a disk that boots by BIOS and UEFI), vmlinuz and initrd (the same without a boot
    loader) and micro-rootfs.tar.gz (for containers). User cirros, password gocubsgo.
    """
    with _failures():
        made = build_micro(out, _say, cache_dir=cache)
    for path in (made.disk, made.kernel, made.ramdisk, made.rootfs):
        click.echo(path)


@build.command("debian")
@out_option
@cache_option
def debian(out: Path, cache: Path) -> None:
    """A full Debian 12 with cloud-init, some minutes in the making.

    Makes debian.qcow2 (a disk that boots by BIOS and UEFI). User debian, key by cloud-init.
    """
    with _failures():
        click.echo(build_debian(out, _say, cache_dir=cache).disk)


def _say(step: str) -> None:
    click.echo(f"  {step}", err=True)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except ImageBuildError as error:
        raise click.ClickException(str(error)) from None
