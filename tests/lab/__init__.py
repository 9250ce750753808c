"""The lab: whole machines on a real kernel, started as ordinary processes."""
