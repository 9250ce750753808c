"""What is wrong around the pools: LVM's settings, room, activation, and those who use a pool."""

from __future__ import annotations

from tests.vm.wrongs.wrong import (
    DAEMON_JSON,
    DOCKER,
    LVM_CONF,
    NEW,
    OWN,
    POOL,
    PROFILE,
    Wrong,
    fixed,
    in_file,
    known,
    own,
    told,
)

SETUP = "/etc/sysconfig/docker-storage-setup"
KUBELET = "/var/lib/kubelet/config.yaml"
CONTAINERD = "/etc/containerd/config.toml"
METADATA = "/var/lib/docker/devicemapper/metadata"
AGED = f"touch -d '-1 min' {METADATA}/transaction-metadata"
"""What Docker wrote just now may be newer than what was read of the pool before."""
LEDGER = "/var/lib/dmguard/disks.json"
DOCKERD = "/usr/sbin/dockerd"
MONITORED = f"lvchange -q --monitor y {DOCKER}"
START, STOP = "systemctl start dmguard", "systemctl stop dmguard"

FILL = "lvcreate -q -y -V 90m -T vg/pool -n vol && dd if=/dev/urandom of=/dev/vg/vol bs=1M count=60"
"""More than half of the pool, and less than would make it grow."""
EMPTY = "lvremove -q -y vg/vol"


def option(code: str, sed: str, cure: str | None = None) -> Wrong:
    """Another option of Docker's in daemon.json, which Docker has not read."""
    make = f"""sed -i 's#"storage-opts": \\[#&{sed}, #' {DAEMON_JSON}"""
    return in_file(Wrong(code, DAEMON_JSON, make, cure), DAEMON_JSON)


def lvm(code: str, subject: str, setting: str, cure: str, *, counts: bool = True) -> Wrong:
    """Another setting of LVM's."""
    wrong = Wrong(code, subject, f"echo '{setting}' >>{LVM_CONF}", cure, counts=counts)
    return in_file(wrong, LVM_CONF)


def dockerd(version: str) -> str:
    """Another Docker is installed beside the one that runs, as by an upgrade."""
    script = f"#!/bin/sh\\necho Docker version {version}, build 1\\n"
    return f"mv {DOCKERD} /tmp/dockerd && printf '{script}' >{DOCKERD} && chmod +x {DOCKERD}"


GROWTH = (
    fixed("profile-missing", f"lvchange -q --detachprofile {DOCKER}"),
    fixed("profile-lost", f"rm {PROFILE}"),
    fixed("autoextend-half-set", f"sed -i s/percent=20/percent=0/ {PROFILE}"),
    fixed("pool-not-monitored", f"lvchange -q --monitor n {DOCKER}"),
    fixed(
        "autoextend-off",
        f"{STOP} && lvchange -q --detachprofile {DOCKER}",
        after=START,
    ),
    fixed(
        "mark-not-live",
        f"{STOP} && lvchange -q --refresh --config activation/thin_pool_autoextend_threshold=100"
        f" {DOCKER}",
        after=START,
    ),
    told(
        "ceiling-not-kept",
        DOCKER,
        own(f'[pool."{DOCKER}"]\nmax_size = "100GiB"'),
        f"lvchange -q --monitor n {DOCKER}",
        f"rm {OWN}; {MONITORED}",
    ),
    lvm(
        "other-extender",
        "lvm",
        'dmeventd/thin_command = "/bin/true"',
        f"sed -i /thin_command.*true/d {LVM_CONF}",
        counts=False,
    ),
    told(
        "step-unfit",
        DOCKER,
        f"{STOP} && lvcreate -q -y -Wn -Zn -an -l 85%FREE -n rest docker",
        START,
        "lvremove -q -y docker/rest",
    ),
    known(
        "vg-room-low",
        POOL,
        own(f'[pool."{POOL}"]\nstep = "4GiB"\ndata_threshold = 90'),
        f"vgextend -q vg {NEW}",
        f"vgreduce -q vg {NEW}; pvremove -q {NEW}; rm {OWN}",
    ).between(FILL, EMPTY),
    told(
        "vg-short",
        POOL,
        own(f'[pool."{POOL}"]\nstep = "4GiB"\ndata_threshold = 65'),
        f"vgextend -q vg {NEW}",
        f"vgreduce -q vg {NEW}; pvremove -q {NEW}; rm {OWN}",
    ).between(FILL, EMPTY),
    fixed(
        "metadata-small",
        "lvcreate -q -y --type thin-pool -L 2600m --poolmetadatasize 2m -c 64k -Zn -n small vg",
        "vg/small",
        "lvremove -q -y vg/small",
    ),
    fixed("spare-short", "lvremove -q -y docker/lvol0_pmspare"),
    known(
        "overprovisioned", POOL, f"lvcreate -q -y -V 1g -T {POOL} -n wide", "lvremove -q -y vg/wide"
    ),
    told(
        "discards-ignored",
        POOL,
        f"lvchange -q -an {POOL} && lvchange -q --discards ignore {POOL} && lvchange -q -ay {POOL}",
        f"lvchange -q -an {POOL} && lvchange -q --discards passdown {POOL} && lvchange -q -ay"
        f" {POOL}",
    ),
    known(
        "discards-kept",
        POOL,
        f"lvchange -q --discards nopassdown {POOL}",
        f"lvchange -q --discards passdown {POOL}",
    ),
)

LVM = (
    fixed("activation-skipped", f"lvchange -q --setactivationskip y {DOCKER}"),
    lvm(
        "volume-list-excludes",
        DOCKER,
        'activation/volume_list = ["vg"]',
        f"""sed -i 's/^activation.volume_list = ."vg"/&, "docker"/' {LVM_CONF}""",
    ),
    known(
        "autoactivation-excludes",
        DOCKER,
        f"lvchange -q --setautoactivation n {DOCKER}",
        f"lvchange -q --setautoactivation y {DOCKER}",
    ),
    told(
        "vg-foreign",
        "away/pool",
        f"vgcreate -q -y away {NEW} && lvcreate -q -y -T -L 40m away/pool && vgchange -q -an away"
        " && vgchange -q -y --systemid another away && "
        + own('[guard]\npools = ["*/*", "away/pool"]'),
        "vgchange -q -y --systemid '' away"
        ' --config \'global/system_id_source="lvmlocal" local/system_id="another"\''
        " && vgchange -q -ay away",
        f"vgremove -q -y away; pvremove -q {NEW}; rm {OWN}",
    ),
    told(
        "thin-check-missing",
        "lvm",
        "mv /usr/sbin/thin_check /tmp/thin_check",
        "mv /tmp/thin_check /usr/sbin/thin_check",
    ),
    lvm(
        "filter-by-name",
        "lvm",
        'devices/filter = ["a|^/dev/ubd[bc]$|", "a|^/dev/ubdb$|", "a|/loop|", "r|.*|"]',
        f'sed -i \'s#^devices.filter = .*#devices/filter = ["a|^/dev/disk/by-path/|", "r|.*|"]#\''
        f" {LVM_CONF}",
    ),
    told(
        "pv-on-loop",
        "/dev/loop0",
        "truncate -s 64M /tmp/pv && vgextend -q -y vg $(losetup -f --show /tmp/pv)",
        "vgreduce -q vg /dev/loop0",
        "pvremove -q -y /dev/loop0; losetup -d /dev/loop0",
    ),
    known(
        "disk-by-place",
        "path:platform-uml-blkdev.3",
        f"cp -a {LEDGER} /tmp/ledger; dmguard ignore {NEW}",
        f"test -e /tmp/ledger && mv /tmp/ledger {LEDGER} || rm {LEDGER}",
    ),
)

CONSUMERS = (
    told(
        "unit-not-ordered",
        "docker.service",
        "systemctl disable dmguard-activate.service",
        "systemctl enable dmguard-activate.service",
    ),
    told(
        "thin-volumes-beside",
        POOL,
        f"""printf 'version = 2\\n[plugins."io.containerd.snapshotter.v1.devmapper"]\\n"""
        f"""pool_name = "vg-pool"\\nbase_image_size = "64MB"\\n' >{CONTAINERD}"""
        f" && lvcreate -q -y -V 90m -T {POOL} -n vol",
        "lvremove -q -y vg/vol",
        f"mv /tmp/containerd {CONTAINERD}",
    ).between(f"cp -a {CONTAINERD} /tmp/containerd", ""),
    in_file(
        told(
            "snapshotter-unusable",
            CONTAINERD,
            f"""printf 'version = 2\\n[plugins."io.containerd.snapshotter.v1.devmapper"]\\n"""
            f"""pool_name = "vg-other"\\n' >{CONTAINERD}""",
            f"""echo 'base_image_size = "64MB"' >>{CONTAINERD}""",
        ),
        CONTAINERD,
    ),
    told(
        "kubelet-first",
        DOCKER,
        "mkdir -p /var/lib/kubelet && ln -s true /usr/bin/kubelet"
        f" && echo 'imageGCHighThresholdPercent: 75' >{KUBELET}",
        own(f'[pool."{DOCKER}"]\ndata_threshold = 60'),
        f"rm {OWN} {KUBELET} /usr/bin/kubelet",
    ),
    option("min-free-invalid", '"dm.min_free_space=10"'),
    fixed(
        "pool-named-by-path",
        f"sed -i s#/dev/mapper/docker-thinpool#/dev/docker/thinpool# {DAEMON_JSON}",
        DAEMON_JSON,
    ),
    option("min-free-above", '"dm.min_free_space=30%"', f"sed -i s/=30%/=5%/ {DAEMON_JSON}"),
    option(
        "options-refused",
        '"overlay2.size=1G"',
        f"""sed -i 's/"overlay2.size=1G", //' {DAEMON_JSON}""",
    ),
    option(
        "docker-force",
        '"dm.directlvm_device_force=true"',
        f"""sed -i 's/"dm.directlvm_device_force=true", //' {DAEMON_JSON}""",
    ),
    told("driver-gone", DAEMON_JSON, dockerd("26.1.5"), f"mv /tmp/dockerd {DOCKERD}"),
    in_file(
        told(
            "driver-not-chosen",
            DAEMON_JSON,
            f"{dockerd('24.0.9')} &&"
            f""" sed -i 's/"storage-driver": "devicemapper",//' {DAEMON_JSON}""",
            f"""sed -i 's/{{/&"storage-driver": "devicemapper", /' {DAEMON_JSON}""",
            f"mv /tmp/dockerd {DOCKERD}",
        ),
        DAEMON_JSON,
    ),
    told("docker-data-missing", DOCKER, f"mv {METADATA} /tmp/lost", f"mv /tmp/lost {METADATA}"),
    told(
        "docker-data-differs",
        DOCKER,
        f"cp -a {METADATA} /tmp/older && docker create busybox true"
        f" && systemctl stop docker docker.socket && mv {METADATA} /tmp/newer"
        f" && mv /tmp/older {METADATA} && {AGED}",
        f"rm -r {METADATA} && mv /tmp/newer {METADATA} && {AGED}",
        "systemctl start docker.socket docker",
    ),
    told(
        "auto-extend-ignored",
        SETUP,
        f"mkdir -p /etc/sysconfig && echo AUTO_EXTEND_POOL=true >{SETUP}",
        f"sed -i s/=true/=yes/ {SETUP}",
        f"rm {SETUP}",
    ),
)

AROUND = (*GROWTH, *LVM, *CONSUMERS)
