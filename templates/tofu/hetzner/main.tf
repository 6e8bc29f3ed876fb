# One server of Hetzner Cloud. Its values are in terraform.tfvars.json; cloud_init and the token (HCLOUD_TOKEN) come
# through the environment. A file of this name in templates/tofu/hetzner next to the manifest replaces this one.

terraform {
  required_providers {
    hcloud = {
      source  = "hetznercloud/hcloud"
      version = "1.57.0"
    }
  }
}

provider "hcloud" {}

variable "name" { type = string }
variable "labels" { type = map(string) }
variable "cloud_init" {
  type      = string
  sensitive = true
}

variable "server_type" { type = string }
variable "location" { type = string }
variable "image" { type = string }
variable "ipv4" { type = bool }
variable "ipv6" { type = bool }
variable "delete_protection" { type = bool }
variable "primary_ip" { type = string }
variable "firewall" {
  type = list(object({ protocol = string, port = string, from = list(string) }))
}
variable "volume" {
  type = object({ size = number, mount = string })
}

data "hcloud_primary_ip" "fixed" {
  count = var.primary_ip == null ? 0 : 1
  name  = var.primary_ip
}

resource "hcloud_volume" "data" {
  count             = var.volume == null ? 0 : 1
  name              = var.name
  location          = var.location
  size              = var.volume.size
  format            = "ext4"
  labels            = var.labels
  delete_protection = var.delete_protection
}

resource "hcloud_firewall" "front" {
  count  = var.firewall == null ? 0 : 1
  name   = var.name
  labels = var.labels

  rule {
    direction  = "in"
    protocol   = "icmp"
    source_ips = ["0.0.0.0/0", "::/0"]
  }

  dynamic "rule" {
    for_each = var.firewall
    content {
      direction  = "in"
      protocol   = rule.value.protocol
      port       = rule.value.port
      source_ips = rule.value.from
    }
  }
}

resource "hcloud_server" "machine" {
  name               = var.name
  server_type        = var.server_type
  location           = var.location
  image              = var.image
  labels             = var.labels
  firewall_ids       = hcloud_firewall.front[*].id
  delete_protection  = var.delete_protection
  rebuild_protection = var.delete_protection
  # The server can shrink later only if its disk did not grow.
  keep_disk = true

  # cloud-init waits for the volume, which is attached once the server runs.
  user_data = replace(var.cloud_init, "@VOLUME@", try(hcloud_volume.data[0].linux_device, ""))

  public_net {
    ipv4_enabled = var.ipv4
    ipv6_enabled = var.ipv6
    ipv4         = try(data.hcloud_primary_ip.fixed[0].id, null)
  }
}

resource "hcloud_volume_attachment" "data" {
  count     = var.volume == null ? 0 : 1
  volume_id = hcloud_volume.data[0].id
  server_id = hcloud_server.machine.id
  automount = false
}

output "address" {
  value = var.ipv4 ? hcloud_server.machine.ipv4_address : hcloud_server.machine.ipv6_address
}
