"""Large objects: many that are read as one."""
