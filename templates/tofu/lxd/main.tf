# One instance of LXD. Its values are in terraform.tfvars.json; cloud_init comes through the environment.
# A file of this name in templates/tofu/lxd next to the manifest replaces this one.

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

  # The provider takes limits separately from other settings, without their prefix.
  limits = { for key, value in var.config : trimprefix(key, "limits.") => value if startswith(key, "limits.") }
  config = merge(
    { for key, value in var.labels : "user.${key}" => value },
    { for key, value in var.config : key => value if !startswith(key, "limits.") },
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
}

locals {
  # Interfaces that LXD made, by the names of their devices. Other interfaces inside, such as Docker's bridges, are not
  # among them, while ipv4_address is that of the first by its name: docker0 comes before eth0.
  interfaces = try([for name in sort(keys(lxd_instance.machine.interfaces)) : lxd_instance.machine.interfaces[name]], [])
  addresses  = flatten([for one in local.interfaces : [for ip in one.ips : ip if ip.scope == "global"]])
}

output "address" {
  value = try(concat(
    [for ip in local.addresses : ip.address if ip.family == "inet"],
    [for ip in local.addresses : ip.address if ip.family == "inet6"],
  )[0], "")
}
