#!/bin/sh
# Makes an LXD container, or continues where an earlier run was interrupted. All its input is in its environment.
set -eu

# LXD continues to make a container after the client was killed, and is busy with it for a moment.
patiently() {
    tries=60
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        sleep 0.5
    done
}

make() {
    lxc info "$NAME" >/dev/null 2>&1 || lxc init --quiet "$IMAGE" "$NAME" -c security.nesting=true || return 1
    [ "$(lxc config device get "$NAME" eth0 ipv4.address 2>/dev/null)" = "$ADDRESS" ] ||
        lxc config device override "$NAME" eth0 "ipv4.address=$ADDRESS" 2>/dev/null ||
        lxc config device add "$NAME" eth0 nic network="$NETWORK" name=eth0 "ipv4.address=$ADDRESS" || return 1
    [ "$(lxc list "^$NAME\$" -c s -f csv)" = RUNNING ] || lxc start "$NAME"
}
patiently make

# Secrets are passed on standard input, which no list of processes shows.
# shellcheck disable=SC2016 # it is the container that expands it
printf '%s\n' "$HOST_KEY" | lxc exec "$NAME" --env "LOGIN=$LOGIN" --env "KEYS=$AUTHORIZED_KEYS" --env "SETUP=$SETUP" -- sh -euc '
    umask 077
    cat > /etc/ssh/ssh_host_ed25519_key.new
    booted() {
        case $(systemctl is-system-running --wait 2>/dev/null) in running | degraded | maintenance) ;; *) false ;; esac
    }
    until booted; do sleep 0.1; done
    id -u "$LOGIN" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$LOGIN"
    home=$(getent passwd "$LOGIN" | cut -d: -f6)
    mkdir -p "$home/.ssh"
    printf "%s\n" "$KEYS" > "$home/.ssh/authorized_keys"
    chown -R "$LOGIN:" "$home/.ssh"
    printf "%s ALL=(ALL) NOPASSWD: ALL\n" "$LOGIN" > /etc/sudoers.d/deployer
    find /etc/ssh -name "ssh_host_*" ! -name "*.new" -delete
    mv /etc/ssh/ssh_host_ed25519_key.new /etc/ssh/ssh_host_ed25519_key
    ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key > /etc/ssh/ssh_host_ed25519_key.pub
    sh -euc "$SETUP" </dev/null
    systemctl reset-failed ssh 2>/dev/null || true
    systemctl restart ssh
'
