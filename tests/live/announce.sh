# shellcheck shell=bash
# announce ADDRESS PORT HASH PORT_OF_THE_PEER: announces a peer to a UDP tracker (BEP 15) and prints the answer in hex.
announce() {
    local packet connection
    packet=$(mktemp)
    exec 3<>"/dev/udp/$1/$2"
    send() { printf '%b' "$(printf '%s' "$1" | sed 's/../\\x&/g')" >"$packet" && cat "$packet" >&3; }
    receive() { timeout 5 dd bs=2048 count=1 <&3 2>/dev/null | od -An -v -tx1 | tr -d ' \n'; }
    send 00000417271019800000000012345678
    connection=$(receive)
    connection=${connection:16:16}
    # Started, nothing left, at most 50 peers; the peer's name is its port.
    send "${connection}0000000112345679$3$(printf '2d44502d%032x' "$4")000000000000000000000000000000000000000000000000000000020000000000000000ffffffff$(printf '%04x' "$4")"
    receive
    echo
    exec 3>&-
    rm -f "$packet"
}
