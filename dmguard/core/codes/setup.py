"""What is said of setting up: pools that are made, files that are written."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

SETUP = (
    Code(
        "profile-attached",
        "4ac878720cc940aaa8287e5a1abe559f",
        Severity.NOTICE,
        "A pool was given an LVM profile of its own",
        "It had none, or one that said something else.",
        "None: this is dmguard's work.",
        "Nothing to do. To take it away: lvchange --detachprofile VG/POOL.",
    ),
    Code(
        "pool-monitored",
        "68a21d39b11b4d38ac7eaaeff982ef69",
        Severity.NOTICE,
        "A pool was handed to dmeventd",
        "It was not monitored.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "profile-missing",
        "ebf213d050f24c2abfb70030c4d6f503",
        Severity.WARNING,
        "The pool has no LVM profile that lets it grow",
        "Docker's manual attaches one, and dmeventd acts by it.",
        "Without dmguard nothing would extend the pool.",
        "dmguard attaches one. By hand: lvchange --metadataprofile NAME VG/POOL.",
    ),
    Code(
        "pool-not-monitored",
        "daf91e470ffd48db92e92c9715b47a5b",
        Severity.WARNING,
        "dmeventd does not watch the pool",
        "It was activated while dmeventd could not be reached, or monitoring is off.",
        "Without dmguard nothing would extend the pool.",
        "dmguard hands it over. By hand: lvchange --monitor y VG/POOL.",
    ),
    Code(
        "file-changed",
        "c16c249850f147afadb38ca5e32a10a5",
        Severity.WARNING,
        "A file was changed while dmguard was about to write it",
        "Someone, or a tool that manages the configuration, wrote it at the same moment.",
        "None: it was left as it is.",
        "Run the command again: it decides anew.",
    ),
)
