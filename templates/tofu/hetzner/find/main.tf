# Finds a machine that an earlier run may have left behind: used if the state contains no server although one may have been
# made, because the run was killed in between. The machine is adopted, so that there is never a second one.

terraform {
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "1.57.0"
    }
  }
}

provider "hcloud" {}

variable "labels" { type = map(string) }

locals {
  ours = join(",", [for key, value in var.labels : "${key}==${value}" if startswith(key, "deployer-")])
}

data "hcloud_servers" "left" { with_selector = local.ours }
data "hcloud_firewalls" "left" { with_selector = local.ours }
data "hcloud_volumes" "left" { with_selector = local.ours }

output "left" {
  value = {
    "hcloud_server.machine"    = [for one in data.hcloud_servers.left.servers : tostring(one.id)]
    "hcloud_firewall.front[0]" = [for one in data.hcloud_firewalls.left.firewalls : tostring(one.id)]
    "hcloud_volume.data[0]"    = [for one in data.hcloud_volumes.left.volumes : tostring(one.id)]
  }
}
