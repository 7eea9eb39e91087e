#!/bin/bash
# image.sh PROJECT PARTS OUT [SUITES]: an initramfs with Node.js, its libraries, busybox, and the built packages of PROJECT.
# PARTS is a folder with what is not PROJECT's: debian/ (unpacked Debian packages), node, and npm/ (native packages, by name).
# With SUITES it also has the packages' tests and what they need, in /repo.
set -euo pipefail
project=$1 parts=$2 out=$3 suites=${4:-}
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
cp -r "$parts"/npm/@koromix/* "$tree/app/node_modules/@koromix"
cp "$here"/guest/* "$tree/app/guest"
cp "$here/init.sh" "$tree/init"
if [ -n "$suites" ]; then
  mkdir "$tree/repo"
  (cd "$project" && node "$here/needed.mjs" "$suites" | tar -cf - --exclude='*.map' --exclude=.turbo -T -) | tar -C "$tree/repo" -xf -
  # The native packages of the machine's architecture, beside the packages that load them.
  for native in "$parts"/npm/@*/*/ "$parts"/npm/[!@]*/; do
    [ -d "$native" ] || continue
    name=${native#"$parts/npm/"}
    name=${name%/}
    for owner in "$tree"/repo/node_modules/.pnpm/{koffi,rolldown,lightningcss}@*/node_modules; do
      case $(basename "$(dirname "$owner")"),$name in
        koffi@*,@koromix/* | rolldown@*,@rolldown/* | lightningcss@*,lightningcss-*)
          mkdir -p "$owner/$(dirname "$name")"
          rm -rf "${owner:?}/$name"
          cp -r "$native" "$owner/$name"
          ;;
      esac
    done
  done
  # These compile scripts for their threads, and no compiler is in the image. They test memory, and no kernel.
  rm -f "$tree"/repo/packages/session/test/shared/{byte-queues,group-table}.test.ts
  # Emulation is slow: the limits of the tests, and the graces that they give, are ten times as long there.
  find "$tree"/repo/packages/*/test "$tree"/repo/vitest.*.ts -name '*.ts' -exec sed -i -E \
    's/([tT]imeout(:| =) |LIMIT = )[0-9]+_000\b/&0/g; s/\.stop\([1-9][0-9]*00\b/&0/g' {} +
fi
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc --quiet) >"$out"
