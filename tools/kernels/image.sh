#!/bin/bash
# image.sh PROJECT PARTS OUT: an initramfs with Node.js, its libraries, busybox, and the built packages of PROJECT.
# PARTS is a folder with what is not PROJECT's: debian/ (unpacked Debian packages), node, and koffi/ (its native package).
set -euo pipefail
project=$1 parts=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,tmp,etc,app/guest,app/node_modules/@overlapped,app/node_modules/@koromix}
cp "$parts"/debian/bin/busybox "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
cp "$parts/node" "$tree/bin/node"
echo '127.0.0.1 localhost' >"$tree/etc/hosts"

# The libraries, where the loader of either architecture finds them.
(cd "$parts/debian" && find . \( -name 'lib*.so*' -o -name 'ld-linux*' \) -not -path '*/gconv/*' -not -path '*/audit/*' |
  tar -cf - -T -) | tar -C "$tree" -xf -

for name in iocp-native object-pool net-core session; do
  mkdir "$tree/app/node_modules/@overlapped/$name"
  cp -r "$project/packages/$name"/{package.json,dist} "$tree/app/node_modules/@overlapped/$name"
done
cp -rL "$project/packages/iocp-native/node_modules/koffi" "$tree/app/node_modules/koffi"
cp -r "$parts"/koffi/* "$tree/app/node_modules/@koromix"
cp "$here"/guest/* "$tree/app/guest"
cp "$here/init.sh" "$tree/init"
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc --quiet) >"$out"
