"""dmguard keeps LVM thin pools alive."""

__version__ = "0.1.0"
