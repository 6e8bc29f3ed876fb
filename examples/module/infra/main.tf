# A container of LXD, made by the lxc command: an example of a machine from your own module.
# Any OpenTofu module works: deployer needs only an output `address`.

variable "image" {
  description = "An image of LXD that has an SSH server"
  type        = string
}

variable "network" {
  description = "The network of LXD that the container joins"
  type        = string
  default     = "lxdbr0"
}

variable "address" {
  description = "Its IPv4 address in that network"
  type        = string
}

variable "setup" {
  description = "Shell that is run on it once, as root"
  type        = string
  default     = ""
}

# deployer sets these two because they are declared: its data about the machine, and the private host key that it
# expects on the machine. A module that passes user data to cloud-init declares deployer_cloud_init instead.
variable "deployer" {
  type = object({
    name            = string
    user            = string
    port            = number
    authorized_keys = list(string)
  })
}

variable "deployer_host_key" {
  type      = string
  sensitive = true
}

# Destroying this resource destroys the container, which another resource makes. If making it fails, this resource is
# already in the state, so that the unfinished container is destroyed too.
resource "terraform_data" "machine" {
  input = var.deployer.name
  # Settings that cannot be changed on an existing container.
  triggers_replace = [var.deployer.name, var.image, var.network, var.address]

  provisioner "local-exec" {
    when    = destroy
    command = "lxc delete --force ${self.input}"
  }
}

resource "terraform_data" "made" {
  triggers_replace = [terraform_data.machine.id]

  # A run that was killed leaves an unfinished container behind, which is not in OpenTofu's state: the script continues with it.
  provisioner "local-exec" {
    command = "${path.module}/machine.sh"
    environment = {
      NAME            = terraform_data.machine.output
      IMAGE           = var.image
      NETWORK         = var.network
      ADDRESS         = var.address
      LOGIN           = var.deployer.user
      AUTHORIZED_KEYS = join("\n", var.deployer.authorized_keys)
      HOST_KEY        = var.deployer_host_key
      SETUP           = var.setup
    }
  }
}

output "address" {
  value      = var.address
  depends_on = [terraform_data.made]
}
