"""The demo: one thin pool fills up twice, with dmguard and with dmeventd alone."""
