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

  # For sidecars (docs/operating.md): clones of the projects and of the ops repo, which something of yours keeps fresh, and
  # a disk for what the runs make. Its root belongs to root and has mode 0711; with the exec driver it belongs to nobody
  # (65534) and has mode 0700.
  host_volume "project-repos" {
    path      = "/srv/edge/project-repos"
    read_only = true
  }

  host_volume "ops-repo" {
    path      = "/srv/edge/ops-repo"
    read_only = true
  }

  host_volume "agent-data" {
    path      = "/srv/edge/agent-data"
    read_only = false
  }

  # Where the daemon runs as a job: its state_dir, owned by the image's user (10001).
  host_volume "edge-dispatcher-state" {
    path      = "/srv/edge/state"
    read_only = false
  }
}

# For sidecars: where a task's identity logs in, so that Nomad can read the bot token for it.
vault {
  enabled               = true
  address               = "https://vault.example:8200"
  jwt_auth_backend_path = "jwt-nomad"
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
