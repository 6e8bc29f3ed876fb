# One instance of LXD. Its values are in terraform.tfvars.json; cloud_init comes through the environment.
# A file of this name in templates/tofu/lxd beside the manifest takes this one's place.

terraform {
  required_providers {
    lxd = {
      source  = "terraform-lxd/lxd"
      version = "2.6.2"
    }
  }
}

provider "lxd" {}

variable "name" { type = string }
variable "labels" { type = map(string) }
variable "cloud_init" {
  type      = string
  sensitive = true
}

variable "image" { type = string }
variable "type" { type = string }
variable "config" { type = map(string) }
variable "profiles" { type = list(string) }
variable "remote" { type = string }
variable "project" { type = string }
variable "network" { type = string }
variable "disk" {
  type = object({ pool = string, size = string })
}

resource "lxd_instance" "machine" {
  name     = var.name
  image    = var.image
  type     = var.type
  remote   = var.remote
  project  = var.project
  profiles = var.profiles

  config = merge(
    { for key, value in var.labels : "user.${key}" => value },
    var.config,
    { "cloud-init.user-data" = var.cloud_init },
  )

  dynamic "device" {
    for_each = var.disk == null ? [] : [var.disk]
    content {
      name = "root"
      type = "disk"
      properties = merge(
        { path = "/", pool = device.value.pool },
        device.value.size == null ? {} : { size = device.value.size },
      )
    }
  }

  dynamic "device" {
    for_each = var.network == null ? [] : [var.network]
    content {
      name       = "eth0"
      type       = "nic"
      properties = { name = "eth0", network = device.value }
    }
  }

  lifecycle {
    # Read on the first boot only: another key or user is no reason for another machine.
    ignore_changes = [config["cloud-init.user-data"]]
  }
}

output "address" {
  value = try(coalesce(lxd_instance.machine.ipv4_address, lxd_instance.machine.ipv6_address), "")
}
