"""Guest images, built on this host from Debian packages."""

from pileus.cli.image_build.debian import DebianImage, build_debian
from pileus.cli.image_build.micro import MicroImage, build_micro
from pileus.cli.image_build.packages import ImageBuildError

__all__ = ["DebianImage", "ImageBuildError", "MicroImage", "build_debian", "build_micro"]
