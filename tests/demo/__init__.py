"""The demo: one pool fills up and one power cut comes, with dmguard and with dmeventd alone."""
