# What both machines do at start. Sourced by their init.

bed_say() { echo "bed: $*" >/dev/console; }

bed_fail() {
	bed_say "FAILED: $*"
	dmesg | tail -n 20 >/dev/console
	exec sleep 1000000
}

# bed_until WHAT COMMAND...: tries for 60 seconds.
bed_until() {
	local what="$1" left=300
	shift
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || bed_fail "not within 60 s: $what"
		usleep 200000
	done
}

bed_mounts() {
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev
	mkdir -p /dev/pts
	mount -t devpts devpts /dev/pts
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /tmp
	mount -t tmpfs -o size=90% tmpfs /payload
	mkdir -p /run/vm
	exec >/dev/console 2>&1
}

bed_modules() {
	local module
	while read -r module; do
		insmod "/modules/$module" || bed_say "module $module was refused"
	done </modules/order
}

# bed_network BRIDGE: eth0 on a bridge, and this machine at 10.0.2.9.
bed_network() {
	hostname bed
	ip link set lo up
	bed_until "eth0 appears" test -e /sys/class/net/eth0
	brctl addbr "$1"
	# Kept: a bridge takes the lowest of its ports' addresses otherwise, and a tap's
	# is random. Who has learnt the old one then talks to nobody.
	ip link set "$1" address "$(cat /sys/class/net/eth0/address)"
	brctl addif "$1" eth0
	ip link set eth0 up
	ip addr add 10.0.2.9/24 dev "$1"
	ip link set "$1" up
	ip route add default via 10.0.2.2
}

# bed_ready: starts the agent, says so, and reaps orphans for ever.
bed_ready() {
	nc -ll -p 7000 -e /bin/agent &
	bed_say ready
	while :; do
		wait
		sleep 5
	done
}
