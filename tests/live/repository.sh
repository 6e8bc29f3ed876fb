#!/bin/sh
# Debian's Docker packages under the names and versions of Docker's own, in a signed apt repository laid out as
# Docker's. Runs on a host of the test bed with Docker; the repository goes to standard output as a tar stream.
# SIGNED is a key's armoured public part; SIGNED-BY-NOBODY is that of a key that signs nothing here.
set -eu
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
chmod 755 "$work"
cd "$work"
{
    apt-get update
    apt-get install -y --no-install-recommends gpg gpg-agent
    apt-get download docker.io docker-cli docker-compose containerd runc
} >&2 </dev/null
version=5:28.0.0-1~debian.13~trixie
architecture=$(dpkg --print-architecture)
pool=dists/trixie/pool/stable/$architecture
index=dists/trixie/stable/binary-$architecture
mkdir -p "repository/$pool" "repository/$index"

# repack NAME CONTROL_LINES OF...: one package from the files of others; the scripts are those of the first.
repack() {
    name=$1 lines=$2
    shift 2
    for of; do
        dpkg-deb -x "$of"_*.deb "$name"
        [ -e "$name/DEBIAN" ] || dpkg-deb -e "$of"_*.deb "$name/DEBIAN"
    done
    rm -f "$name/DEBIAN/md5sums" "$name/DEBIAN/triggers"
    rm -rf "$name/usr/share/doc" "$name/usr/share/man" "$name/usr/share/lintian"
    [ ! -e "$name/DEBIAN/conffiles" ] || find "$name/etc" -type f 2>/dev/null | sed "s|^$name||" >"$name/DEBIAN/conffiles"
    printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: The test bed <bed@example.com>\nDescription: repacked for tests\n%b' \
        "$name" "$version" "$architecture" "$lines" >"$name/DEBIAN/control"
    dpkg-deb -Zgzip -z1 -b "$name" "repository/$pool/$name.deb" >&2
}
repack containerd.io 'Provides: containerd, runc\nConflicts: containerd, runc\nReplaces: containerd, runc\nDepends: libc6, libseccomp2\n' containerd runc
repack docker-ce-cli 'Conflicts: docker-cli, docker.io\nReplaces: docker-cli\nDepends: libc6\n' docker-cli
repack docker-compose-plugin 'Conflicts: docker-compose\nEnhances: docker-ce-cli\nDepends: libc6\n' docker-compose
repack docker-ce 'Conflicts: docker.io\nReplaces: docker.io\nDepends: containerd.io, docker-ce-cli, docker-compose-plugin, iptables, nftables, tini, libsystemd0, init-system-helpers, adduser\n' docker.io

cd repository
for deb in "$pool"/*.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done >"$index/Packages"
{
    printf 'Origin: Docker\nLabel: Docker CE\nSuite: trixie\nCodename: trixie\nArchitectures: %s\nComponents: stable\n' "$architecture"
    printf 'Date: %s\nSHA256:\n' "$(LC_ALL=C date -uR)"
    file=stable/binary-$architecture/Packages
    printf ' %s %s %s\n' "$(sha256sum "dists/trixie/$file" | cut -d' ' -f1)" "$(stat -c %s "dists/trixie/$file")" "$file"
} >dists/trixie/Release
GNUPGHOME=$work/gnupg
export GNUPGHOME
mkdir -m 700 "$GNUPGHOME"
for name in signer nobody; do
    gpg --batch --quiet --passphrase '' --quick-generate-key "$name@example.com" rsa3072 sign never
    gpg --batch --armor --export "$name@example.com" >"$name.asc"
done
gpg --batch --quiet --local-user signer@example.com --clearsign -o dists/trixie/InRelease dists/trixie/Release
tar -c .
cd /
gpgconf --kill all
rm -rf "$work"
