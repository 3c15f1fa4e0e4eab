"""`pileus`, and `python -m pileus`."""

from __future__ import annotations

from pileus.cli import make
from pileus.cli.composition import Composer


def compose() -> Composer:
    """The composition root, imported when a command needs it."""
    from pileus import app

    return app.Composer()


def main() -> None:
    make(compose)()


if __name__ == "__main__":
    main()
