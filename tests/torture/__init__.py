"""Random power cuts in the middle of dmguard's acts, on machines of the lab."""
