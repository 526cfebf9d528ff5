# Shared by the scripts in tools/. Sourced; needs bash, and Debian 12 only to install packages.
# shellcheck shell=bash
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
PEERS="$ROOT/build/peers"
export DEBIAN_FRONTEND=noninteractive

say() { printf '%s\n' "$*"; }

# Ends the script with one sentence for a person.
die() {
  printf 'tools/%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The packages of one group of tools/lib/packages, one a line.
packages_of() {
  awk -v group="[$1]" '/^\[/ { inside = ($0 == group); next } inside && NF && !/^#/' \
    "$ROOT/tools/lib/packages"
}

# Those of the given packages that are not installed. Asks dpkg only, so it costs milliseconds.
missing_of() {
  local package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      say "$package"
  done
}

# Ends the script unless as_root can work. Packages to name in the sentence follow.
require_root() {
  if ((EUID == 0)) || command -v sudo >/dev/null; then return; fi
  die "installing needs root and there is no sudo; as root, run: apt-get install $*"
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo DEBIAN_FRONTEND=noninteractive "$@"; fi
}

# Runs a command and hides what it prints, unless it fails.
quietly() {
  local log status=0
  log="$(mktemp)"
  "$@" >"$log" 2>&1 || status=$?
  if ((status != 0)); then cat "$log" >&2; fi
  rm -f "$log"
  return "$status"
}

apt_root() { as_root apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

# Installs what is missing of the given groups. Without anything missing it touches no network.
install_groups() {
  local group wanted=() missing
  for group in "$@"; do mapfile -t -O "${#wanted[@]}" wanted < <(packages_of "$group"); done
  command -v dpkg-query >/dev/null || die "this is not Debian; install by hand: ${wanted[*]}"
  mapfile -t missing < <(missing_of "${wanted[@]}")
  if ((${#missing[@]} == 0)); then return; fi

  require_root "${missing[@]}"
  say "Installing from Debian: ${missing[*]}"
  quietly apt_root update || die "apt-get update failed (see above)"
  quietly apt_root install -y --no-install-recommends "${missing[@]}" ||
    die "apt-get install failed (see above)"
}

# Makes the programs of the packages in a group callable without installing the packages: those
# that are not installed are unpacked under build/peers, which joins the PATH.
unpack_group() {
  local wanted missing package
  mapfile -t wanted < <(packages_of "$1")
  mapfile -t missing < <(missing_of "${wanted[@]}")
  export PATH="$PATH:$PEERS/usr/bin:$PEERS/usr/sbin"
  mkdir -p "$PEERS"
  for package in "${missing[@]}"; do
    if [[ -e "$PEERS/$package.unpacked" ]]; then continue; fi
    say "Unpacking from Debian to build/peers: $package"
    unpack_package "$package" || die "could not fetch $package (see above)"
    touch "$PEERS/$package.unpacked"
  done
}

download_package() { (cd "$2" && quietly apt-get -qq download "$1"); }

unpack_package() {
  local folder status=0
  folder="$(mktemp -d)"
  # The package lists may be old or not there at all: the first failure says nothing.
  if ! download_package "$1" "$folder" 2>/dev/null; then
    require_root "$1"
    quietly apt_root update && download_package "$1" "$folder" || status=$?
  fi
  if ((status == 0)); then dpkg-deb -x "$folder"/*.deb "$PEERS" || status=$?; fi
  rm -rf "$folder"
  return "$status"
}

# build_preset PRESET [TARGET...]: builds quietly and says how long it took. Configure first.
build_preset() {
  local preset="$1" start=$SECONDS targets=()
  shift
  if (($# > 0)); then targets=(--target "$@"); fi
  say "Building in build/$preset (a few minutes the first time) ..."
  quietly cmake --build --preset "$preset" "${targets[@]}" || die "the build failed (see above)"
  say "Built in $((SECONDS - start)) s."
}

# configure_preset PRESET [OPTION...]: quiet as well.
configure_preset() {
  quietly cmake --preset "$@" || die "cmake could not configure build/$1 (see above)"
}
