"""One thing that is wrong with a host: how it is made so, what is then found, and its cure."""

from __future__ import annotations

from dataclasses import dataclass, replace

DOCKER, POOL = "docker/thinpool", "vg/pool"
DAEMON_JSON = "/etc/docker/daemon.json"
PROFILE = "/etc/lvm/profile/docker-thinpool.profile"
LVM_CONF = "/etc/lvm/lvm.conf"
OWN = "/etc/dmguard/conf.d/wrong.toml"
NEW = "/dev/ubdd"
"""A disk that nothing is on."""


@dataclass(frozen=True)
class Wrong:
    """All words are shell. `cure` is what the finding's own cure says, None if --fix is to do it;
    `after` undoes what else was made. `counts`: is something to be done about it at all?
    """

    code: str
    subject: str
    make: str
    cure: str | None = None
    after: str = ""
    counts: bool = True

    @property
    def is_fixed(self) -> bool:
        return self.cure is None

    def between(self, before: str, after: str) -> Wrong:
        """The same, with something that is not wrong made before it and undone at the end."""
        return replace(self, make=f"{before} && {self.make}", after=join(self.after, after))


def join(*words: str) -> str:
    return "; ".join(word for word in words if word)


def fixed(code: str, make: str, subject: str = DOCKER, after: str = "") -> Wrong:
    """What --fix cures."""
    return Wrong(code, subject, make, after=after)


def told(code: str, subject: str, make: str, cure: str, after: str = "") -> Wrong:
    """What is left to a person, with its cure."""
    return Wrong(code, subject, make, cure, after)


def known(code: str, subject: str, make: str, undo: str, after: str = "") -> Wrong:
    """What merely is so: nothing has to be done."""
    return Wrong(code, subject, make, undo, after, counts=False)


def in_file(wrong: Wrong, path: str) -> Wrong:
    """The file is afterwards what it was."""
    return wrong.between(f"cp -a {path} /tmp/kept", f"mv /tmp/kept {path}")


def own(text: str) -> str:
    """Other settings of dmguard's, of which the agent is not told."""
    return f"echo '{text}' >{OWN}"
