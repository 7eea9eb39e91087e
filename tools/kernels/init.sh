#!/bin/busybox sh
# The first process of the machine: mounts what Node.js needs, runs the scripts that the kernel's command line names
# (kernels.run=NAME,NAME; suite-NAME is the suite of a package), and turns the machine off. Its lines on the console begin with "GUEST".
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp NO_COLOR=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
ip link set lo up
ulimit -n 65536
# What a pipe's reader ends with hides nothing. To the console itself vitest draws.
set -o pipefail
for word in $(cat /proc/cmdline); do
  case $word in
    kernels.run=*) names=$(echo "${word#*=}" | tr , ' ') ;;
    kernels.tests=*) tests=${word#*=} ;;
    kernels.limit=*) limit=${word#*=} ;;
  esac
done
echo "GUEST $(uname -rm), $(nproc) processors, Node.js $(node --version)"
for name in $names; do
  case $name in
    suite-*)
      cd "/repo/packages/${name#suite-}" || exit 1
      timeout -k 5 "$limit" node node_modules/vitest/vitest.mjs run --config ../../vitest.config.ts \
        --reporter=verbose -t "$tests" 2>&1 | cat
      ;;
    *) timeout -k 5 "$limit" node "/app/guest/$name.mjs" ;;
  esac
  echo "GUEST $name ended with $?"
done
dmesg | grep -E 'BUG:|Oops|WARNING|stall|blocked for more than' | sed 's/^/GUEST kernel: /'
poweroff -f
