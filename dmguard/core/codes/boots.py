"""What is said of boots, and of those who wait for a pool then."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

BOOTS = (
    Code(
        "pool-activated",
        "0b0ef004b1904498aacf107dc3cb4a37",
        Severity.NOTICE,
        "A thin pool was brought up",
        "It was not active: at boot, after a late disk, or because recover was asked for.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "pool-late",
        "083bd0f339ef48ee8106c0c55d8a49f2",
        Severity.ERROR,
        "The disks of a pool did not come in time",
        "A pool that something on this host needs is not there, or not complete, at the end of"
        " activate.timeout.",
        "What keeps its data in the pool starts without it and fails.",
        "Bring the disks. dmguard activates the pool as soon as they are there, and starts the"
        " consumer again.",
    ),
    Code(
        "unit-started",
        "5b6ffa23929d41709db7e45d90694d29",
        Severity.NOTICE,
        "A consumer was started again",
        "It had failed, or was running without its pool, before the pool was there.",
        "None: this is dmguard's work.",
        'Nothing to do. To turn it off: on_recovered = "none".',
    ),
    Code(
        "consumer-down",
        "ed10a2f8154a4eaf80cce9cbadf09b05",
        Severity.ERROR,
        "A consumer is down because its pool was missing",
        "Its last start was before its thin pool was active.",
        "Containers do not run.",
        "dmguard starts it again when the pool is up, unless on_recovered says none. By hand:"
        " systemctl reset-failed UNIT, systemctl start UNIT.",
    ),
    Code(
        "activation-off",
        "e9a62420cf0a45a584fcc3b0c7019612",
        Severity.NOTICE,
        "A pool is left inactive on purpose",
        "LVM is told not to activate it by itself, the configuration does not name it, and no"
        " program of this host is configured for it: it may belong to a cluster.",
        "None.",
        "Name it in guard.pools, or run dmguard activate VG/POOL.",
    ),
)
