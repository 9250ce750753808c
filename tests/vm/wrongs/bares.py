"""What is wrong with pools that are none of LVM's: on loop devices, and raw ones."""

from __future__ import annotations

from tests.vm.wrongs.wrong import OWN, Wrong, own, told

NAME = "devpool"
DOCKERS = "docker-98:0-15970-pool"
PLACE = "/var/tmp/files"
DATA, METADATA = f"{PLACE}/data", f"{PLACE}/metadata"
FILES = f"mkdir -p {PLACE} && truncate -s 64M {DATA} && truncate -s 4M {METADATA}"
GONE = f"dmsetup remove --retry {NAME}; losetup -D; rm -rf {PLACE}"
LIMITED = f"$(losetup -f --show --sizelimit 67108864 {DATA})"
NAMED = f'[pool."loop:{NAME}"]\ndata_threshold = 55'
CAPPED = f'{NAMED}\nmax_size = "1GiB"'
RAW = f'[[raw_pool]]\nname = "{NAME}"\ndata = "{DATA}"\nmetadata = "{METADATA}"'


def pool(name: str = NAME, data: str = f"$(losetup -f --show {DATA})", size: int = 131072) -> str:
    """A pool on loop devices."""
    table = f"0 {size} thin-pool $(losetup -f --show {METADATA}) {data} 128 0"
    return f'dmsetup create {name} --table "{table}"'


def filled(percent: int = 62, size: int = 131072) -> str:
    """So much of it is in use; the thin device is gone again."""
    return (
        f"dmsetup message {NAME} 0 'create_thin 7'"
        f" && dmsetup create t7 --table '0 {size} thin /dev/mapper/{NAME} 7'"
        f" && dd if=/dev/zero of=/dev/mapper/t7 bs=64k count={size // 128 * percent // 100}"
        " oflag=direct status=none && dmsetup remove --retry t7"
    )


MADE = f"{FILES} && {pool()} && dmsetup remove --retry {NAME} && losetup -D"
"""A raw pool that is down."""
UP = f"dmguard activate {NAME}"


def raw(code: str, make: str, cure: str, setting: str = RAW) -> Wrong:
    """Something that is wrong with a raw pool; it comes up once it is cured."""
    return told(code, NAME, f"{own(setting)} && {make}", f"{cure} && {UP}").between(
        MADE, f"{GONE}; rm {OWN}"
    )


LOOPS = (
    Wrong(
        "loop-lvm",
        DOCKERS,
        f"{FILES} && {pool(DOCKERS)}",
        f"dmsetup remove --retry {DOCKERS}; losetup -D; rm -r {PLACE}",
        counts=False,
    ),
    told(
        "loop-not-grown",
        NAME,
        f"{FILES} && {pool()} && {filled()} && {own(NAMED)}",
        f"""echo 'max_size = "1GiB"' >>{OWN}""",
        f"{GONE}; rm {OWN}",
    ),
    told(
        "loop-limited",
        NAME,
        f"{FILES} && truncate -s 128M {DATA} && {pool(data=LIMITED)} && {filled()} && {own(NAMED)}",
        f"{GONE}; rm {OWN}",
    ),
    told(
        "loop-not-file",
        NAME,
        f"{FILES} && {pool(data='/dev/sda', size=32768)} && {filled(size=32768)} && {own(NAMED)}",
        f"{GONE}; rm {OWN}; dd if=/dev/zero of=/dev/sda bs=1M count=16 oflag=direct status=none",
    ),
    told(
        "loop-file-unknown",
        NAME,
        f"{FILES} && {pool()} && {filled()} && rm {DATA} && {own(NAMED)}",
        f"{GONE}; rm {OWN}",
    ),
    told(
        "loop-no-space",
        NAME,
        f"mkdir {PLACE} && mount -t tmpfs -o size=60M files {PLACE} && {FILES} && {pool()}"
        f" && {filled()} && {own(CAPPED)}",
        f"mount -o remount,size=500M {PLACE}",
        f"dmsetup remove --retry {NAME}; losetup -D; umount {PLACE}; rmdir {PLACE}; rm {OWN}",
    ),
)

RAWS = (
    raw("raw-missing", f"mv {DATA} {PLACE}/away", f"mv {PLACE}/away {DATA}"),
    raw(
        "raw-no-pool",
        f"mv {METADATA} {PLACE}/right && truncate -s 4M {METADATA}",
        f"mv {PLACE}/right {METADATA}",
    ),
    raw("raw-block-size", "true", f"sed -i /block_size/d {OWN}", RAW + '\nblock_size = "128KiB"'),
    raw("raw-too-small", f"truncate -s 32M {DATA}", f"truncate -s 64M {DATA}"),
    raw(
        "raw-taken",
        f"cp -a {PLACE}/. {PLACE}.other && dmsetup create {NAME} --table"
        f' "0 131072 thin-pool $(losetup -f --show {PLACE}.other/metadata)'
        f' $(losetup -f --show {PLACE}.other/data) 128 0"',
        f"dmsetup remove --retry {NAME} && losetup -D && rm -r {PLACE}.other",
    ),
)

BARES = (*LOOPS, *RAWS)
