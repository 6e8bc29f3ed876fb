# Laid over main.tf while the machine that is there stays. Where another one takes its place this is left out, so that the
# new one is born with today's key and user.

resource "lxd_instance" "machine" {
  lifecycle {
    # Read on the first boot only: another key or user is no reason for another machine.
    ignore_changes = [config["cloud-init.user-data"]]
  }
}
