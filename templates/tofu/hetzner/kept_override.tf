# Placed over main.tf while the existing machine is kept. Left out when the machine is replaced, so that the new one is made
# with the current key and user.

resource "hcloud_server" "machine" {
  lifecycle {
    # Read on the first boot only: another key or user is not a reason to replace the machine.
    ignore_changes = [user_data, ssh_keys]
  }
}
