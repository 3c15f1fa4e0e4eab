"""Strands: everything slow, as one database row per resource that cannot get stuck. README.md shows how."""

from pileus.kernel.work.engine import Engine
from pileus.kernel.work.intake import Work
from pileus.kernel.work.program import Program, label
from pileus.kernel.work.strand import Done, Fail, Fault, Flow, Hop, Nap, Step, Strand, Write

__all__ = [
    "Done",
    "Engine",
    "Fail",
    "Fault",
    "Flow",
    "Hop",
    "Nap",
    "Program",
    "Step",
    "Strand",
    "Work",
    "Write",
    "label",
]
