# shellcheck shell=sh
# claimed STATE: prints an environment's claims. Former versions recorded none: their claims follow from their records
# of releases.
claimed() {
  if [ -e "$1/claims" ]; then
    cat "$1/claims"
  elif [ -e "$1/current.json" ] || [ -e "$1/swapping.json" ]; then
    for record in "$1/current.json" "$1/swapping.json"; do
      grep -osE '"directory":"([^"\\]|\\.)*","project":"[^"]*"' "$record" | head -n 1
    done | sed -E 's/^"directory":"(.*)","project":"(.*)"$/project \2\ndirectory \1/; s/\\(.)/\1/g' | sort -u
  fi
}
