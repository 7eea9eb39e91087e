#!/bin/bash
# setup.sh [DIR]: puts Debian's Wine 10 into DIR, beside the system: no chroot, no mount, the host's libc is not touched.
# Does nothing when DIR has it already. DIR cannot be moved afterwards: absolute paths are patched into the loader.
#
# Needs a Debian or a derivative on x86-64 whose apt has a Debian mirror. Root is needed only where patchelf is missing.
set -euo pipefail

suite=trixie
packages=(libwine wine64 libc6 libgcc-s1 libunwind8 liblzma5 libz-mingw-w64)

dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/overlapped/wine}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
lib=$dir/usr/lib/x86_64-linux-gnu
bin=$dir/usr/lib/wine

if [ -x "$dir/wine" ]; then
  echo "Wine is already in $dir"
  exit 0
fi

# The mirror that the system's own apt uses, in either format of its sources.
find_mirror() {
  local uri='https?://[^[:space:]]*debian/?([[:space:]]|$)'
  { cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
    sed -nE '/^(URIs:|deb )/p' | grep -oE "$uri" | sed -n '1p' | tr -d '[:space:]'
}

# An apt of its own in $apt, so that the system's lists, preferences and packages stay as they are.
download() {
  local mirror
  mirror=$(find_mirror) || { echo 'Cannot install Wine: apt has no Debian mirror' >&2; exit 1; }
  mkdir -p "$apt"/{etc/preferences.d,etc/apt.conf.d,state/lists/partial,cache/archives/partial,debs}
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/etc/sources.list"
  local options=(
    -qq -o APT::Sandbox::User=root -o Acquire::Languages=none
    -o Dir::Etc="$apt/etc" -o Dir::Etc::sourcelist="$apt/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State="$apt/state" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache"
  )
  # The system's own proxy and TLS settings still hold.
  for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
    if [ -f "$file" ] && grep -qE '^Acquire::' "$file"; then grep -hE '^Acquire::' "$file" >>"$apt/etc/apt.conf"; fi
  done
  apt-get "${options[@]}" update
  (cd "$apt/debs" && apt-get "${options[@]}" download "${packages[@]}")
}

if ! command -v patchelf >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends patchelf >/dev/null
fi

apt=$dir/apt
download
for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$dir"; done

# What libwine's postinst does: zlib1.dll is marked as a builtin of Wine.
zlib=$dir/usr/x86_64-w64-mingw32/lib/zlib1.dll
{ head -c 64 "$zlib"; printf 'Wine builtin DLL'; head -c 16 /dev/zero; tail -c +97 "$zlib"; } >"$lib/wine/x86_64-windows/zlib1.dll"

# The unpacked libc serves Wine alone.
for binary in wine64 wineserver64; do
  patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$lib" "$bin/$binary"
done
# Debian's script of this name calls the host's server, and the server looks for its tables under share/wine/wine.
ln -sf wineserver64 "$bin/wineserver"
[ -e "$dir/usr/share/wine/wine" ] || ln -s . "$dir/usr/share/wine/wine"

rm -rf "$apt" "$dir/usr/share/doc" "$lib/wine/i386-windows" "$dir/usr/i686-w64-mingw32"

# The command comes last: where it exists, the installation is complete.
cat >"$dir/wine" <<SCRIPT
#!/bin/sh
export WINELOADER='$bin/wine64' WINESERVER='$bin/wineserver64' WINEDLLPATH='$lib/wine' WINEDEBUG="\${WINEDEBUG:--all}"
exec '$bin/wine64' "\$@"
SCRIPT
chmod +x "$dir/wine"
echo "Wine is in $dir"
