#!/bin/bash
# run.sh [SUITE/ARCH ...]: boots the kernels of Debian's suites under qemu, and runs the scripts of guest/ in each, or the suites of
# packages. See README.md.
#   KERNELS_RUN     which scripts (eventfd,wake,exercise)       KERNELS_LIMIT   seconds for each script or suite (1200)
#   KERNELS_SUITES  which packages' suites, in the place of scripts: iocp-native,net-core,session
#   KERNELS_TESTS   which tests of them, by their names: a regular expression without blanks (.)
#   KERNELS_DIR     where downloads and logs are kept           OUT of 1: something failed
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
dir=${KERNELS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/overlapped/kernels}
scripts=${KERNELS_RUN:-eventfd,wake,exercise}
limit=${KERNELS_LIMIT:-1200}
suites=${KERNELS_SUITES:-}
tests=${KERNELS_TESTS:-.}
[ -z "$suites" ] || scripts=suite-${suites//,/,suite-}
if [ $# -eq 0 ]; then set -- bookworm/amd64 trixie-security/amd64 trixie-backports/amd64 trixie-security/arm64; fi
# What the machines have beside the kernel, always the same.
base=bookworm
parts=(libc6 libstdc++6 libgcc-s1 libatomic1 busybox-static)
mkdir -p "$dir/log"

die() {
  echo "run.sh: $1" >&2
  exit 1
}
for program in cpio dpkg-deb npm apt-get; do command -v $program >/dev/null || die "$program is needed"; done
[ -d "$project/packages/session/dist" ] || die 'build the packages first'

# The mirror that the system's own apt uses, in either format of its sources.
mirror=$({ cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
  sed -nE '/^(URIs:|deb )/p' | grep -oE 'https?://[^[:space:]]*/debian/?([[:space:]]|$)' | sed -n 1p | tr -d '[:space:]')
[ -n "$mirror" ] || die 'apt has no Debian mirror'
mirror=${mirror%/}

# apt SUITE ARCH COMMAND...: an apt of its own, so that the system's lists and packages stay as they are.
apt() {
  local suite=$1 arch=$2 uri=$mirror
  local at=$dir/apt/$suite-$arch
  shift 2
  case $suite in *-security) uri=$mirror-security ;; esac
  mkdir -p "$at"/{etc/preferences.d,etc/apt.conf.d,state/lists/partial,cache/archives/partial}
  touch "$at/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=$arch] $uri $suite main" >"$at/etc/sources.list"
  local options=(
    -qq -o APT::Sandbox::User=root -o Acquire::Languages=none -o "APT::Architecture=$arch" -o "APT::Architectures::=$arch"
    -o Dir::Etc="$at/etc" -o Dir::Etc::sourcelist="$at/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State="$at/state" -o Dir::State::status="$at/status" -o Dir::Cache="$at/cache"
  )
  # The system's own proxy and TLS settings still hold.
  for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
    if [ -f "$file" ] && grep -qE '^Acquire::' "$file"; then grep -hE '^Acquire::' "$file"; fi
  done >"$at/etc/apt.conf"
  local command=$1
  shift
  "$command" "${options[@]}" "$@"
}

# Downloads packages of SUITE/ARCH, and unpacks them into TO.
unpack() {
  local suite=$1 arch=$2 to=$3
  shift 3
  local debs
  debs=$(mktemp -d)
  mkdir -p "$to"
  (cd "$debs" && apt "$suite" "$arch" apt-get download "$@")
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$to"; done
  rm -rf "$debs"
}

image_in() {
  find "$1" -name 'vmlinuz*' -type f 2>/dev/null | sed -n 1p
}

# Prints the kernel of SUITE/ARCH: the newest that its metapackage names.
kernel() {
  local suite=$1 arch=$2 flavour=$3 name
  apt "$suite" "$arch" apt-get update >&2
  name=$(apt "$suite" "$arch" apt-cache depends "linux-image-$flavour" | sed -nE 's/.*Depends: <?(linux-image-[0-9][^ >]*)>?.*/\1/p' | sed -n 1p)
  [ -n "$name" ] || die "$suite has no kernel linux-image-$flavour"
  local to=$dir/kernels/$name
  # Before Linux 7 it is in the package itself and in boot/, from then on in a package that this one needs.
  if [ -z "$(image_in "$to")" ]; then unpack "$suite" "$arch" "$to" "$name"; fi
  if [ -z "$(image_in "$to")" ]; then unpack "$suite" "$arch" "$to" "linux-binary-${name#linux-image-}"; fi
  image_in "$to"
}

# Node.js of the version that runs here, Debian's libraries, and the native packages: koffi's, and with suites those of vitest.
prepare() {
  local arch=$1 to=$dir/parts-$1 name=${1/amd64/x64}
  local node natives=()
  node=node-linux-$name@$(node -p process.versions.node)
  natives+=("@koromix/koffi-linux-$name@$(version koffi)")
  if [ -n "$suites" ]; then
    natives+=("@rolldown/binding-linux-$name-gnu@$(version rolldown)" "lightningcss-linux-$name-gnu@$(version lightningcss)")
  fi
  if [ "$(cat "$to/complete" 2>/dev/null)" != "$node ${natives[*]}" ]; then
    rm -rf "$to"
    mkdir -p "$to/npm" "$to/packed"
    apt "$base" "$arch" apt-get update
    unpack "$base" "$arch" "$to/debian" "${parts[@]}"
    (cd "$to/packed" && npm pack --silent "$node" >/dev/null && tar -xzf node-linux-*.tgz package/bin/node)
    mv "$to/packed/package/bin/node" "$to/node"
    local native
    for native in "${natives[@]}"; do
      mkdir -p "$to/npm/${native%@*}"
      tar -xzf "$to/packed/$(cd "$to/packed" && npm pack --silent "$native")" -C "$to/npm/${native%@*}" --strip-components=1
    done
    rm -rf "$to/packed"
    echo "$node ${natives[*]}" >"$to/complete"
  fi
  "$here/image.sh" "$project" "$to" "$dir/$arch.cpio" "$suites"
}

# The version of a package in the workspace's store.
version() {
  local at
  at=$(find "$project/node_modules/.pnpm" -maxdepth 1 -name "$1@*" | sed -n 1p)
  [ -n "$at" ] || die "$1 is not installed"
  node -p "require('$at/node_modules/$1/package.json').version"
}

# Never with KVM: where a machine is one itself, that may hang it.
boot() {
  local arch=$1 image=$2 log=$3
  local memory=1536
  [ -z "$suites" ] || memory=3072
  local common=(
    -nographic -no-reboot -nodefaults -monitor none -display none -net none -serial "file:$log" -m "$memory" -smp 2
    -accel tcg,thread=multi -kernel "$image" -initrd "$dir/$arch.cpio"
  )
  local line="quiet panic=-1 mitigations=off kernels.run=$scripts kernels.limit=$limit kernels.tests=$tests"
  local most=$((limit * 4))
  case $arch in
    amd64) timeout "$most" nice -n 19 qemu-system-x86_64 -machine q35 -cpu max "${common[@]}" -append "console=ttyS0 tsc=reliable no_timer_check $line" ;;
    arm64) timeout "$most" nice -n 19 qemu-system-aarch64 -machine virt -cpu neoverse-n1 "${common[@]}" -append "console=ttyAMA0 $line" ;;
    *) die "no machine for $arch" ;;
  esac
}

failed=0
for target in "$@"; do
  # SUITE/ARCH, or SUITE/ARCH-FLAVOUR for another kernel than that for clouds.
  suite=${target%%/*} flavour=${target##*/}
  arch=${flavour%%-*}
  [ "$flavour" != "$arch" ] || flavour=cloud-$arch
  image=$(kernel "$suite" "$arch" "$flavour")
  [ -e "$dir/$arch.ready.$$" ] || { prepare "$arch" && touch "$dir/$arch.ready.$$"; }
  log=$dir/log/${suites:+suites-}$suite-${target##*/}.log
  rm -f "$log"
  boot "$arch" "$image" "$log" || true
  echo "== $target"
  tr -d '\r' <"$log" | grep -aE '^(ok|FAIL|GUEST)|^ +Tests |^ +(×|FAIL)' || true
  for name in ${scripts//,/ }; do
    # No pipe: grep ends at the first match, and what writes to it would fail.
    grep -aqx "GUEST $name ended with 0" <(tr -d '\r' <"$log") || { echo "FAIL $name on $target: see $log"; failed=1; }
  done
done
rm -f "$dir"/*.ready.$$
exit $failed
