#!/bin/bash
# tests/tofu/record.sh: records what the real OpenTofu of tests/bed says, as cases of tests/cases/tofu. Run by hand when
# OpenTofu is raised to another version (and `RECORD_CASES=1 cargo test --test live_tofu hetzner::` for
# drift); `UPDATE_CASES=1 cargo test --test tofu` then writes what is read from them.
set -euo pipefail
cd "$(dirname "$0")/../.."
cases=$PWD/tests/cases/tofu
tools=$(tests/bed tofu)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TF_CLI_CONFIG_FILE=$tools/settings.tfrc CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_VAR_secret=canary-4711
cd "$work"

tofu() { "$tools/tofu" "$@"; }
module() { cat >main.tf; }
# lines NAME COMMAND...: what it says, whatever its end.
lines() { "$tools/tofu" "$2" -json -no-color "${@:3}" >"$cases/$1.lines" 2>&1 || true; }
# plan NAME OPTION...: the plan as JSON.
plan() {
    tofu plan -input=false -out=plan "${@:2}" >/dev/null
    tofu show -json plan | jq -S 'del(.configuration, .timestamp)' >"$cases/$1.plan"
}
fresh() { rm -rf "${work:?}"/* "$work"/.terraform*; }
mkdir -p "$cases"

module <<END
variable "secret" { sensitive = true }
resource "terraform_data" "plain" {
  input            = { size = "small", disks = ["a", "b"], secret = var.secret }
  triggers_replace = ["trixie"]
}
resource "terraform_data" "after" { input = terraform_data.plain.id }
output "size" { value = terraform_data.plain.output.size }
output "secret" {
  value     = var.secret
  sensitive = true
}
END
tofu init -input=false >/dev/null
plan create
lines create plan -input=false
lines apply apply -auto-approve -input=false
plan none
sed -i 's/"small"/"large"/; s/"b"/"c"/' main.tf
plan update
sed -i 's/trixie/forky/' main.tf
plan replace
tofu taint terraform_data.after >/dev/null
plan tainted
tofu untaint terraform_data.after >/dev/null
plan destroy -destroy
lines destroy destroy -auto-approve -input=false
tofu apply -auto-approve >/dev/null
sed -i '/"after"/d' main.tf
plan delete
printf 'removed {\n  from = terraform_data.after\n  lifecycle {\n    destroy = false\n  }\n}\n' >>main.tf
plan forget

fresh
module <<END
import {
  to = terraform_data.found
  id = "11111111-2222-3333-4444-555555555555"
}
resource "terraform_data" "found" { input = "new" }
END
tofu init -input=false >/dev/null
plan import

fresh
module <<END
resource "terraform_data" "machine" {
  provisioner "local-exec" { command = "echo making; echo it does not work >&2; exit 7" }
}
END
tofu init -input=false >/dev/null
lines failed-command apply -auto-approve -input=false

# Diagnostics of several kinds, before anything is done.
fresh
echo 'resource "terraform_data" "machine" {' | module
lines syntax plan -input=false
lines syntax-init init -input=false
printf 'resource "terraform_data" "machine" {\n  input = var.none\n  size = 3\n}\n' | module
lines undeclared plan -input=false
fresh
module <<END
variable "secret" { sensitive = true }
variable "needed" {}
END
tofu init -input=false >/dev/null
lines no-value plan -input=false
module <<END
variable "secret" { sensitive = true }
resource "terraform_data" "machine" {
  input = 1
  lifecycle {
    precondition {
      condition     = length(var.secret) > 100
      error_message = "The token is too short."
    }
  }
}
check "size" {
  assert {
    condition     = terraform_data.machine.input == 2
    error_message = "It is rather small."
  }
}
END
lines precondition plan -input=false
sed -i '/lifecycle/,/^  }$/d' main.tf
lines warning apply -auto-approve -input=false
fresh
module <<END
terraform {
  required_providers {
    none = { source = "nobody/none", version = "1.0.0" }
  }
}
END
lines no-provider init -input=false
fresh
module <<END
terraform {
  required_providers {
    hcloud = { source = "hetznercloud/hcloud", version = "1.57.0" }
  }
}
provider "hcloud" { token = "short" }
resource "hcloud_ssh_key" "key" {
  name       = "k"
  public_key = "ssh-ed25519 AAAA"
}
END
lines no-init plan -input=false
tofu init -input=false >/dev/null
lines provider plan -input=false
fresh
printf 'resource "terraform_data" "machine" {\n  provisioner "local-exec" { command = "sleep 3" }\n}\n' | module
tofu init -input=false >/dev/null
tofu plan -out=plan >/dev/null
tofu apply -auto-approve >/dev/null &
sleep 1
lines locked plan -input=false
wait
lines stale apply plan
# Paths and times of this recording are nobody's.
sed -i "s|$work|/work|g; s|$tools|/tools|g; s/\"@timestamp\":\"[^\"]*\"/\"@timestamp\":\"2026-01-01T00:00:00Z\"/g" "$cases"/*.lines
ls "$cases"
