"""The command line: one cloud for each area, one line of numbers each, and what needs a look."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from harness import cloud as clouds
from harness import features, odd_images, tempest, verdict
from harness.areas import AREAS, HERE, Area
from harness.configuration import configure
from harness.fixtures import serving
from harness.seed import seed
from harness.tempest import Outcome, Workspace
from harness.verdict import Verdict
from harness.worker import SERVICE_TYPE, second_worker, shared_database
from pileus.testing.cloud import Cloud

RESULTS = HERE / "results"


def main() -> int:
    """0 where all that passed before passes, and every failure is explained."""
    options = _options()
    tempest.install()
    good = [_test(AREAS[name], options) for name in options.areas]
    return 0 if all(good) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/conformance/run", description="Lets Tempest test a cloud raised for it."
    )
    parser.add_argument("areas", metavar="AREA", nargs="+", choices=sorted(AREAS), help=", ".join(AREAS))
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--sim", dest="real", action="store_false", default=None, help="simulated hosts and networks"
    )
    kind.add_argument(
        "--real",
        dest="real",
        action="store_true",
        help="guests and packets; needs root and the host's packages",
    )
    parser.add_argument("--only", metavar="REGEX", help="of the area, only tests that match")
    parser.add_argument("--workers", type=int, help="Tempest processes side by side")
    parser.add_argument("--port", type=int, help="where the cloud listens; by default any free port")
    parser.add_argument("--accept", action="store_true", help="add what passes to the list of what must pass")
    return parser.parse_args()


def _test(area: Area, options: argparse.Namespace) -> bool:
    real = area.real if options.real is None else options.real
    began = time.monotonic()
    print(f"{area.name}: raising a {'real' if real else 'simulated'} cloud", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="pileus-tempest-") as scratch,
        shared_database() if area.image_worker else nullcontext({}) as database,
        clouds.raised(
            simulated=not real, port=options.port, settings=(settings := {**area.settings, **database})
        ) as cloud,
        second_worker(cloud, settings) if area.image_worker else nullcontext(),
        serving(Path(scratch) / "workspace") as fixtures,
    ):
        workspace = _prepared(Path(scratch) / "workspace", cloud, area, fixtures)
        tests = workspace.tests(area, options.only)
        if not tests:
            raise SystemExit(f"no test of {area.name} matches {options.only!r}")
        outcome = workspace.run(tests, options.workers or area.workers)
        asked = outcome.passed | outcome.failed | outcome.skipped
        judged = verdict.judge(area, asked, outcome)
        if options.accept:
            verdict.accept(area, outcome)
        _keep(area, cloud, workspace, outcome)
        _tell(area, outcome, judged, cloud, time.monotonic() - began, accepted=options.accept)
    return judged.good


def _prepared(folder: Path, cloud: Cloud, area: Area, fixtures: str) -> Workspace:
    workspace = Workspace(folder)
    seeded = seed(cloud, folder)
    template = (HERE / "tempest.conf.in").read_text()
    own = {(each.section, each.option) for each in area.options}
    changes = [
        *features.absent_services(seeded.service_types),
        features.present_extensions(template, seeded.network_extensions),
        *(each for each in features.NOT_YET if (each.section, each.option) not in own),
        *area.options,
    ]
    if not cloud.sim:
        changes += features.REAL
    manifest = odd_images.make(folder / "odd-images") if area.odd_images else None
    values = {
        **seeded.values,
        "FIXTURES_URL": fixtures,
        "IMAGE_REMOTE": SERVICE_TYPE if area.image_worker else None,
        "IMAGES_MANIFEST": None if manifest is None else str(manifest),
    }
    workspace.configure(configure(template, values, changes))
    return workspace


def _keep(area: Area, cloud: Cloud, workspace: Workspace, outcome: Outcome) -> None:
    """What one wants to read after a failure, in `results/AREA/`."""
    kept = RESULTS / area.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    (kept / "report.txt").write_text(outcome.report)
    for file in (
        cloud.state / "pileus.log",
        workspace.folder / "etc/tempest.conf",
        workspace.folder / "logs/tempest.log",
    ):
        if file.exists():
            shutil.copy(file, kept)


def _tell(
    area: Area, outcome: Outcome, judged: Verdict, cloud: Cloud, seconds: float, *, accepted: bool
) -> None:
    for reason, tests in judged.explained.items():
        print(f"\n{len(tests)} failed as expected: {reason}")
    _list("failed, without a line in not-yet.txt that says why", judged.unexplained)
    _list("passed once and do not now", judged.lost)
    if not judged.good:
        print(
            f"\nThe cloud's log complains (all of it, and each failure's traceback: {RESULTS / area.name}):"
        )
        print("\n".join(f"  {line}" for line in clouds.complaints(cloud)))
    if judged.new:
        _list("pass for the first time", judged.new)
        print(f"  {'added' if accepted else 'to be added by --accept'} to {area.golden.relative_to(HERE)}")
    numbers = f"{len(outcome.passed)} passed, {len(outcome.failed)} failed, {len(outcome.skipped)} skipped"
    print(
        f"\n{area.name}: {numbers} in {seconds:.0f} s; {'good' if judged.good else 'NOT GOOD'}\n", flush=True
    )


def _list(title: str, tests: list[str]) -> None:
    if tests:
        print(f"\n{len(tests)} {title}:")
        print("\n".join(f"  {test}" for test in tests))
