"""Guest images, built on this host from Debian packages."""

from pileus.cli.image_build.micro import MicroImage, build_micro
from pileus.cli.image_build.packages import ImageBuildError

__all__ = ["ImageBuildError", "MicroImage", "build_micro"]
