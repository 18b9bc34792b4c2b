# For the clients that runs are placed on; merge it into their configuration.

client {
  # A client with more allocations than this, ended ones included, removes the oldest at once, and their logs with them.
  # At least [limits] dispatches_per_minute, so that a log is there for a minute after its run ended.
  gc_max_allocs = 1000

  # The longest kill_timeout that a job may ask for; the runner needs its 30 s to end a command.
  max_kill_timeout = "30s"

  # One for each [mounts.<name>] host_volume, and readable for the user of the command. A run always mounts it read-only.
  host_volume "ssh" {
    path      = "/srv/edge/mounts/ssh"
    read_only = true
  }

  # Where the daemon runs as a job: its state_dir, owned by the image's user (10001).
  host_volume "edge-dispatcher-state" {
    path      = "/srv/edge/state"
    read_only = false
  }
}

# The driver of production. Volumes need no `volumes { enabled = true }`: host volumes work without it, and with it every
# job could mount any path of the host.
plugin "docker" {
  config {
    allow_privileged = false

    # What the runner adds to nothing; Docker's defaults in Nomad allow these and more.
    allow_caps = ["chown", "dac_override", "kill", "setgid", "setuid"]

    volumes {
      enabled = false
    }

    gc {
      image_delay = "24h"
    }
  }
}

# For hosts without containers: no isolation from other runs of the same client.
plugin "raw_exec" {
  config {
    enabled = false
  }
}
