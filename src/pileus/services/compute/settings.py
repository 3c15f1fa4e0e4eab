"""What operators can set of compute."""

from __future__ import annotations

import msgspec

from pileus.lib.schedule import Settings as ScheduleSettings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    default_availability_zone: str = "nova"
    """The zone of hosts that no aggregate gives one."""
    scheduler: str = "filter"
    """`filter`, `chance`, or a plug-in's (entry points of the group `pileus.schedulers`)."""
    scheduler_settings: ScheduleSettings = ScheduleSettings()
    cpu_allocation_ratio: float = 16.0
    ram_allocation_ratio: float = 1.0
    disk_allocation_ratio: float = 1.0
    reserved_host_memory_mib: int = 512
    reserved_host_disk_gib: int = 0
    resume_guests_state_on_host_boot: bool = True
    """Whether guests that ran are started again after their host was; otherwise they are SHUTOFF."""
    shutdown_timeout_seconds: float = 60.0
    """How long a guest may take to power off when it is stopped or softly rebooted."""
    vif_plugging_timeout_seconds: float = 300.0
    """How long a new server waits for its ports to become active."""
    sync_seconds: float = 60.0
    """How often a server is compared with its guest."""
    force_config_drive: bool = False
    enable_instance_password: bool = True
    """Whether creating a server answers with an `adminPass`."""
