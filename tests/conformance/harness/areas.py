"""What can be tested by one name: which tests, on what kind of cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.features import Absent

HERE = Path(__file__).resolve().parents[1]


LOOPBACK = {
    "PILEUS_IMAGE__IMPORT_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    "PILEUS_IMAGE__SHOW_LOCATIONS": "true",
}
"""What Tempest wants fetched is served by the harness, on this host."""
IMAGE = {**LOOPBACK, "PILEUS_IMAGE__STORES": '{file = {}, web = {type = "http"}}'}
IMAGE_STORES = {
    **LOOPBACK,
    "PILEUS_IMAGE__STORES": '{file = {weight = 1}, fast = {weight = 9}, web = {type = "http"}}',
    "PILEUS_IMAGE__REQUIRE_FORMAT_MATCH": "false",
    "PILEUS_IMAGE__SECURE_HASH": "false",
}
OBJECTS = {
    "PILEUS_OBJECT_STORE__POLICIES": '[{name = "Policy-0", default = true}, {name = "silver", index = 1}]',
    "PILEUS_OBJECT_STORE__CONTAINER_SYNC__REALMS": '{realm1 = {key = "realm1key", clusters = {name1 = ""}}}',
    "PILEUS_OBJECT_STORE__CONTAINER_SYNC__INTERVAL_SECONDS": "1.0",
}
"""Two storage policies; containers of this cloud follow others of it."""
LAX_FORMATS = Absent(
    "image-feature-enabled", "image_format_enforcement", "false", "tests upload what is no image"
)
REPRESENTATIVE = (
    r"^tempest\.api\.(identity\.v3\.test_(tokens|application_credentials|access_rules|projects|users|ec2_credentials)"
    r"|identity\.admin\.v3\.test_(trusts|tokens|roles|inherits|project_tags|domain_configuration|oauth_consumers)"
    r"|image\.v2\.test_images\.(BasicOperationsImages|ImportImages|ImageLocations)Test"
    r"|image\.v2\.test_images_(dependency|member|tags))"
)


@dataclass(frozen=True)
class Area:
    name: str
    pattern: str
    """Tempest tests whose names match are the area's, among those of `listed` where it is given."""
    smoke: bool = False
    """Only tests that Tempest tags as smoke tests."""
    listed: str | None = None
    """A file of `interop/` that names the tests."""
    real: bool = False
    """Whether packets and guests are needed, so that the simulator will not do."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that set up the area's cloud."""
    options: tuple[Absent, ...] = ()
    """What Tempest is told of that cloud, beside what holds for all."""
    image_worker: bool = False
    """Whether the image service has a second process, on a database that both share."""
    odd_images: bool = False
    """Whether there is a folder of images good and bad."""
    workers: int = 2
    """Tempest processes side by side, unless told otherwise."""

    @property
    def golden(self) -> Path:
        """The tests that passed before and so must pass."""
        return HERE / "passing" / f"{self.name}.txt"


AREAS = {
    area.name: area
    for area in (
        Area("identity", r"^tempest\.api\.identity\."),
        Area("keystone", r"^keystone_tempest_plugin\."),
        # Some tests want two stores to write to; others wait in vain where there are two, as they name none.
        Area(
            "image",
            r"^tempest\.api\.image\.(?!.*\.MultiStoresImagesTest\.)",
            settings=IMAGE,
            image_worker=True,
            odd_images=True,
        ),
        Area(
            "image-stores",
            r"^tempest\.api\.image\..*(StoreWeight|ListUserImages|do_secure_hash_false|MultiStores|test_compute_rejects)",
            settings=IMAGE_STORES,
            odd_images=True,
            options=(
                Absent("image-feature-enabled", "store_weight_enabled", "true", "the stores have weights"),
                Absent(
                    "image-feature-enabled", "image_format_enforcement", "false", "tests upload what is none"
                ),
                Absent("image-feature-enabled", "do_secure_hash", "false", "the cloud is set up not to"),
            ),
        ),
        Area("compute", r"^tempest\.api\.compute\."),
        Area("network", r"^tempest\.api\.network\."),
        Area("object-storage", r"^tempest\.api\.object_storage\.", settings=OBJECTS),
        Area("smoke", r"^tempest\.api\.(identity|image|compute|network)\.", smoke=True, settings=IMAGE),
        # What every run of the suite holds identity and image to, beside their few smoke tests.
        Area("representative", REPRESENTATIVE, settings=IMAGE),
        Area("scenario", r"^tempest\.scenario\.", real=True),
        Area(
            "interop-compute",
            r"^tempest\.",
            listed="required-os_powered_compute.alive.txt",
            settings={"PILEUS_IMAGE__REQUIRE_FORMAT_MATCH": "false"},
            options=(LAX_FORMATS,),
        ),
        Area(
            "interop-storage", r"^tempest\.", listed="required-os_powered_storage.alive.txt", settings=OBJECTS
        ),
    )
}
