#!/bin/sh
# Turns a bare Debian tree into a lab machine's: recipe.sh TREE AGENT UML_MODULES
set -eu
tree=$1 agent=$2 modules=$3

mkdir -p "$tree/usr/lib/modules" "$tree/var/log/journal" "$tree/usr/share/lab" "$tree/usr/lib/lab"
cp -a "$modules" "$tree/usr/lib/modules/"
chroot "$tree" depmod "$(basename "$modules")"

# Nothing here is about what is tested, and each costs every boot its time: nobody logs in.
for unit in serial-getty@ttyS0.service e2scrub_reap.service e2scrub_all.timer apt-daily.timer \
    apt-daily-upgrade.timer man-db.timer dpkg-db-backup.timer fstrim.timer getty@tty1.service \
    getty-static.service systemd-logind.service systemd-user-sessions.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount systemd-pstore.service sys-fs-fuse-connections.mount; do
    ln -sfn /dev/null "$tree/etc/systemd/system/$unit"
done
mkdir -p "$tree/etc/systemd/system/systemd-udev-trigger.service.d"
cat >"$tree/etc/systemd/system/systemd-udev-trigger.service.d/no-terminals.conf" <<'UNIT'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=all --action=add --subsystem-nomatch=tty \
    --prioritized-subsystem=module,block,net,input
UNIT
for unit in docker.service docker.socket containerd.service; do
    if [ -e "$tree/usr/lib/systemd/system/$unit" ] || [ -e "$tree/lib/systemd/system/$unit" ]; then
        chroot "$tree" systemctl disable -q "$unit"
    fi
done
: >"$tree/etc/machine-id"
echo lab >"$tree/etc/hostname"
printf '127.0.0.1 localhost lab\n' >"$tree/etc/hosts"
rm -f "$tree/etc/resolv.conf"
rm -rf "$tree/var/lib/apt/lists" "$tree/var/cache/apt" && mkdir -p "$tree/var/lib/apt/lists/partial"

install -m 755 "$agent" "$tree/usr/lib/lab/agent"
cat >"$tree/etc/systemd/system/lab-agent.service" <<'UNIT'
[Unit]
Description=Command channel of the lab
DefaultDependencies=no
After=systemd-remount-fs.service systemd-tmpfiles-setup.service

[Service]
Type=simple
ExecStart=/usr/lib/lab/agent
KillMode=process
OOMScoreAdjust=-1000
Restart=always
RestartSec=100ms
StandardOutput=null
StandardError=null

[Install]
WantedBy=sysinit.target
UNIT
chroot "$tree" systemctl enable -q lab-agent.service

# What `docker import` makes the containers of.
box=$(mktemp -d)
mkdir -p "$box/bin" "$box/tmp" "$box/data" "$box/etc" "$box/proc" "$box/sys" "$box/dev"
cp "$tree/bin/busybox" "$box/bin/busybox"
for tool in sh dd sleep cat ls echo sync true false test rm mkdir touch mount df wc head yes; do
    ln -s busybox "$box/bin/$tool"
done
tar -C "$box" -cf "$tree/usr/share/lab/busybox.tar" .
rm -rf "$box"
