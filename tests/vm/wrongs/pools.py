"""What is wrong with pools and groups themselves: what the agent tells of, too."""

from __future__ import annotations

from tests.lab import scsi
from tests.vm.wrongs.around import EMPTY, FILL
from tests.vm.wrongs.wrong import DOCKER, NEW, OWN, POOL, Wrong, fixed, own, told

DISK = "/dev/sda"
"""A disk of scsi_debug, which can be pulled out while it is in use."""
WIPE = (
    f"dd if=/dev/zero of={DISK} bs=1M count=16 oflag=direct status=none"
    f"; udevadm trigger --settle {DISK}"
)

ONLY_NEW = f'devices/filter=["a|^{NEW}$|", "r|.*|"]'
BACKUP = "vgcfgbackup -q -f /tmp/vg.conf vg"
RESTORE = "vgcfgrestore -q -y --force -f /tmp/vg.conf vg"

UP_AGAIN = (
    f"lvchange -q -an {POOL} && lvchange -q -ay"
    ' --config \'global/thin_check_options=["-q","--clear-needs-check-flag"]\''
    f" {POOL}"
)
"""What the findings say for it."""

GONE, READ_ONLY = "0 $2 error", "0 $2 flakey $4 $5 0 60 1 error_writes"


def torn(target: str, pool: str = "vg-pool", layer: str = "") -> str:
    """The metadata's disk fails during a commit, and is well again. `layer`: what the live pool's
    name has behind the pool's.

    What is read for a new volume was read before: only then does the kernel come to the commit.
    """
    load = "dmsetup suspend --noflush {0} && dmsetup reload {0} --table {1} && dmsetup resume {0}"
    return (
        f"dmsetup message {pool}{layer} 0 'create_thin 10008'"
        f" && dmsetup message {pool}{layer} 0 'delete 10008'"
        f" && set -- $(dmsetup table {pool}_tmeta)"
        f""" && {load.format(f"{pool}_tmeta", f'"{target}"')}"""
        f"; dmsetup message {pool}{layer} 0 'create_thin 10009'"
        f""" ; {load.format(f"{pool}_tmeta", '"$*"')}"""
    )


GROUPS = (
    told(
        "vg-duplicate-name",
        POOL,
        f"vgcreate -q -y away {NEW} && vgcfgbackup -q -f /tmp/away.conf away && vgremove -q -y away"
        " && sed -i 's/^away {/vg {/' /tmp/away.conf"
        f" && vgcfgrestore -q -y --config '{ONLY_NEW}' -f /tmp/away.conf vg",
        "vgrename -q $(vgs --noheadings -o vg_uuid -S pv_count=1,lv_count=0) away",
        f"vgremove -q -y away; pvremove -q -y {NEW}",
    ),
    told(
        "vg-missing-pv",
        POOL,
        f"vgextend -q -y vg {DISK} && {scsi.pulling(DISK)}",
        scsi.returning(),
        f"vgreduce -q vg {DISK}; {WIPE}",
    ),
    told(
        "vg-exported",
        POOL,
        "vgchange -q -an vg && vgexport -q vg",
        "vgimport -q vg && vgchange -q -ay vg",
    ),
    told(
        "vg-read-only",
        POOL,
        f"{BACKUP} && sed -i 's/, \"WRITE\"//' /tmp/vg.conf && {RESTORE}",
        f'sed -i \'s/"READ"/&, "WRITE"/\' /tmp/vg.conf && {RESTORE}',
    ),
)

STATES = (
    fixed("pool-inactive", f"lvchange -q -an {POOL}", POOL),
    Wrong(
        "activation-off",
        POOL,
        f"lvchange -q -an {POOL} && lvchange -q --setautoactivation n {POOL}",
        f"dmguard activate {POOL}",
        f"lvchange -q --setautoactivation y {POOL}",
        counts=False,
    ),
    told("pool-failed", POOL, torn(GONE), UP_AGAIN),
    told("pool-needs-check", POOL, torn(READ_ONLY), UP_AGAIN),
    told(
        "pool-read-only",
        POOL,
        "T=$(dmsetup table vg-pool | sed 's/1 skip_block_zeroing/2 skip_block_zeroing read_only/')"
        ' && dmsetup suspend vg-pool && dmsetup reload vg-pool --table "$T"'
        " && dmsetup resume vg-pool",
        UP_AGAIN,
    ),
    told(
        "out-of-metadata",
        "vg/small",
        "systemctl kill -s STOP --kill-who=main dmguard"
        " && lvcreate -q -y -T -L 40m --poolmetadatasize 2m vg/small"
        " && seq -f 'dmsetup message vg-small 0 \"create_thin %.0f\"' 600 | sh -e;"
        " dmsetup status vg-small | grep -q ' ro '",
        "lvextend -q --poolmetadatasize +4m vg/small",
        "lvremove -q -y vg/small; systemctl kill -s CONT --kill-who=main dmguard",
    ),
    told(
        "transaction-id-mismatch",
        "vg/other",
        f"lvcreate -q -y -T -L 40m -V 20m -n volume vg/other && {BACKUP}"
        f" && sed -i 's/transaction_id = 1$/transaction_id = 7/' /tmp/vg.conf && {RESTORE}",
        f"sed -i 's/transaction_id = 7$/transaction_id = 1/' /tmp/vg.conf && {RESTORE}",
        "lvremove -q -y vg/other",
    ),
    told("pool-suspended", POOL, "dmsetup suspend vg-pool", f"lvchange -q --refresh {POOL}"),
    told(
        "vg-dry",
        POOL,
        "lvcreate -q -y -Wn -Zn -an -l 100%FREE -n rest vg && "
        + own(f'[pool."{POOL}"]\ndata_threshold = 55'),
        f"vgextend -q vg {NEW}",
        f"vgreduce -q vg {NEW}; pvremove -q {NEW}; rm {OWN}; lvremove -q -y vg/rest",
    ).between(FILL, EMPTY),
    told(
        "pool-ceiling",
        POOL,
        f"lvchange -q --detachprofile {POOL} && "
        + own(f'[pool."{POOL}"]\ndata_threshold = 55\nmax_size = "100MiB"'),
        f"sed -i s/100MiB/200MiB/ {OWN}",
        f"rm {OWN}; lvchange -q --metadataprofile vg-pool {POOL}",
    ).between(FILL, EMPTY),
    told(
        "pool-unknown",
        "ghost",
        "truncate -s 16M /tmp/a /tmp/b && dmsetup create ghost --uuid LVM-$(printf %064d 7)-tpool"
        ' --table "0 32768 thin-pool $(losetup -f --show /tmp/a) $(losetup -f --show /tmp/b) 128'
        ' 0"',
        "dmsetup remove --retry ghost",
        "losetup -D",
    ),
    fixed(
        "consumer-down",
        "systemctl kill -s STOP --kill-who=main dmguard"
        " && mkdir -p /run/systemd/system/docker.service.d"
        " && printf '[Service]\\nRestart=no\\n' >/run/systemd/system/docker.service.d/once.conf"
        " && systemctl mask -q --runtime dmguard-activate && systemctl stop docker.socket docker"
        f" && lvchange -q -an {DOCKER} && ! systemctl start docker && lvchange -q -ay {DOCKER}"
        " && systemctl unmask -q --runtime dmguard-activate",
        DOCKER,
        "rm -r /run/systemd/system/docker.service.d; systemctl daemon-reload;"
        " systemctl kill -s CONT --kill-who=main dmguard",
    ),
)

POOLS = (*GROUPS, *STATES)
