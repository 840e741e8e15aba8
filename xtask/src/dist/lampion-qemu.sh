#!/bin/sh
# Lampion under QEMU's Xen emulation, on this host's KVM.
#
# Needs QEMU 8.2 or later and a KVM with Xen support (CONFIG_KVM_XEN).
#
#   ./lampion-qemu.sh [WORD...]     words for the guest's command line
#
# DISK (a raw file, made if it is missing), MEMORY (MiB) and PORT (of this
# host, for the guest's port 80) may be set in the environment. The console is
# the terminal; the line `poweroff` shuts the guest down.
set -e
here=$(cd "$(dirname "$0")" && pwd)
disk=${DISK:-$here/disk.img}
[ -e "$disk" ] || truncate -s 64M "$disk"
exec qemu-system-x86_64 \
	-nodefaults -no-user-config -display none -machine pc \
	-accel kvm,xen-version=0x40011,kernel-irqchip=split -cpu host \
	-m "${MEMORY:-32}" -kernel "$here/lampion" \
	-append "ip=10.0.2.50/24 gw=10.0.2.2 $*" \
	-chardev stdio,id=console,signal=off -device xen-console,chardev=console \
	-netdev "user,id=net,hostfwd=tcp:127.0.0.1:${PORT:-8080}-10.0.2.50:80" \
	-device xen-net-device,netdev=net \
	-drive "file=$disk,format=raw,if=none,id=disk" -device xen-disk,drive=disk,vdev=xvda
