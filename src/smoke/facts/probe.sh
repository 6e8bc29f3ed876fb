# shellcheck shell=sh
# Prints facts about a host, as lines of words with tabs between them. Changes nothing. A line is left out if it cannot
# be read.

containers() { # PROJECT
    timeout 20 docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$1" \
        --filter label=com.docker.compose.oneoff=False 2>/dev/null |
        xargs -r timeout 20 docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Pid}} {{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}' 2>/dev/null | head -c 1048576 |
        while read -r service pid state code restarts health; do
            printf 'container\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$service" "$state" "$code" "$restarts" "$health"
            # The container's own network, if it has one.
            [ "$pid" = 0 ] || [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ] ||
                datagrams "$service" "/proc/$pid/net"
        done
}

datagrams() { # WHERE DIRECTORY
    grep '^Udp:' "$2/snmp" 2>/dev/null | while read -r _ words; do printf 'udp4\t%s\t%s\n' "$1" "$words"; done
    grep '^Udp6RcvbufErrors' "$2/snmp6" 2>/dev/null | while read -r _ number; do printf 'udp6\t%s\t%s\n' "$1" "$number"; done
}

disk() { # PATH
    [ ! -e "$1" ] || timeout 10 df -Pk -- "$1" 2>/dev/null | sed -n "2s|^|disk	|p"
}

now=$(date +%s.%N)
printf 'clock\t%s\n' "$now"
command -v docker >/dev/null && echo docker
datagrams host /proc/net
conntrack=/proc/sys/net/netfilter/nf_conntrack
[ ! -r "${conntrack}_max" ] || printf 'conntrack\t%s\t%s\n' "$(cat "${conntrack}_count")" "$(cat "${conntrack}_max")"
disk /
disk /var/lib/docker
