"""The composition root: the only place that knows every service, driver and setting."""

from pileus.app.compose import Composer

__all__ = ["Composer"]
