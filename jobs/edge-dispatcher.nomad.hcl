# The daemon itself, as a service job. It talks to Nomad by the Task API with its workload identity and logs in to the
# secret store with another one: no Docker socket, no Nomad or Vault token to keep, no port that must be reachable from
# outside. It belongs into another namespace than the runs: a policy that is attached to a job counts for its runs too.
#
#   nomad acl policy apply -namespace edge -job edge-dispatcher edge-dispatcher deploy/nomad/edge-dispatcher.policy.hcl
#   nomad job run -var "config=$(cat dispatcher.toml)" edge-dispatcher.nomad.hcl
#
# The clients that may run it offer the host volume `state_volume`, writable for the image's user (10001).

variable "config" {
  type        = string
  description = "content of dispatcher.toml; engine address, token files, login and state_dir are set here"

  validation {
    condition     = var.config != ""
    error_message = "Give the content of dispatcher.toml."
  }
}

variable "namespace" {
  type        = string
  default     = "edge"
  description = "not the one of the runs"
}

variable "datacenters" {
  type    = list(string)
  default = ["dc1"]
}

variable "image" {
  type    = string
  default = "edge-dispatcher:local"
}

variable "state_volume" {
  type        = string
  default     = "edge-dispatcher-state"
  description = "host volume of state_dir: clones, and the notes of unanswered dispatches, which must not be lost"
}

variable "forge_token_variable" {
  type        = string
  default     = ""
  description = "path of a Nomad variable whose item `token` is the git token, such as nomad/jobs/edge-dispatcher; empty: none"
}

variable "vault_audience" {
  type        = string
  default     = "vault.io"
  description = "what the login role of the secret store is bound to"
}

variable "cpu" {
  type    = number
  default = 500
}

variable "memory_mb" {
  type    = number
  default = 512
}

job "edge-dispatcher" {
  type        = "service"
  namespace   = var.namespace
  datacenters = var.datacenters

  group "daemon" {
    # One at a time: it holds a lock on its state, and a second one under its name would be fenced off.
    count = 1

    update {
      max_parallel      = 1
      canary            = 0
      health_check      = "checks"
      min_healthy_time  = "10s"
      healthy_deadline  = "3m"
      progress_deadline = "10m"
      auto_revert       = true
    }

    restart {
      attempts = 10
      interval = "10m"
      delay    = "10s"
      mode     = "delay"
    }

    reschedule {
      unlimited      = true
      delay          = "30s"
      delay_function = "exponential"
      max_delay      = "10m"
    }

    # A client that is cut off stops it before another one starts it.
    disconnect {
      stop_on_client_after = "1m"
    }

    network {
      port "http" {
        to = 9467
      }
    }

    volume "state" {
      type      = "host"
      source    = var.state_volume
      read_only = false
    }

    service {
      name     = "edge-dispatcher"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        path     = "/healthz"
        interval = "15s"
        timeout  = "5s"

        check_restart {
          limit = 5
          grace = "60s"
        }
      }
    }

    task "daemon" {
      driver = "docker"
      # Time to hand back what is under way; the runs themselves go on and are found again.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      config {
        image           = var.image
        args            = ["run", "--config", "$${NOMAD_TASK_DIR}/dispatcher.toml"]
        ports           = ["http"]
        init            = true
        cap_drop        = ["all"]
        security_opt    = ["no-new-privileges"]
        readonly_rootfs = true
        pids_limit      = 1024

        mount {
          type     = "tmpfs"
          target   = "/tmp"
          readonly = false

          tmpfs_options {
            size = 67108864
          }
        }
      }

      env = merge(
        {
          EDGE_DISPATCHER_STATE_DIR        = "/var/lib/edge-dispatcher"
          EDGE_ENGINE_KIND                 = "nomad"
          EDGE_ENGINE_NOMAD_ADDRESS        = "unix://$${NOMAD_SECRETS_DIR}/api.sock"
          EDGE_ENGINE_NOMAD_TOKEN_FILE     = "$${NOMAD_SECRETS_DIR}/nomad_token"
          EDGE_ACCESS_KIND                 = "vault"
          EDGE_ACCESS_VAULT_LOGIN_METHOD   = "jwt"
          EDGE_ACCESS_VAULT_LOGIN_JWT_FILE = "$${NOMAD_SECRETS_DIR}/nomad_vault.jwt"
          EDGE_HTTP_LISTEN                 = "0.0.0.0:9467"
        },
        var.forge_token_variable == "" ? {} : { EDGE_OPS_REPO_TOKEN_FILE = "$${NOMAD_SECRETS_DIR}/forge-token" },
      )

      # For Nomad: good while this allocation lives. A file only, so that no child process inherits it.
      identity {
        env  = false
        file = true
      }

      # For the secret store: good for a login only.
      identity {
        name = "vault"
        aud  = [var.vault_audience]
        env  = false
        file = true
        ttl  = "1h"
      }

      template {
        data            = var.config
        destination     = "$${NOMAD_TASK_DIR}/dispatcher.toml"
        change_mode     = "restart"
        left_delimiter  = "{{{{"
        right_delimiter = "}}}}"
      }

      dynamic "template" {
        for_each = var.forge_token_variable == "" ? [] : [var.forge_token_variable]

        content {
          data        = "{{ with nomadVar \"${template.value}\" }}{{ .token }}{{ end }}"
          destination = "$${NOMAD_SECRETS_DIR}/forge-token"
          # Read again at every use.
          change_mode = "noop"
          perms       = "0400"
          uid         = 10001
          gid         = 10001
        }
      }

      volume_mount {
        volume      = "state"
        destination = "/var/lib/edge-dispatcher"
        read_only   = false
      }

      resources {
        cpu    = var.cpu
        memory = var.memory_mb
      }
    }
  }
}
