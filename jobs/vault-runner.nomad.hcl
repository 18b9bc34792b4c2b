# The job that runs actions: one dispatch, one attempt, one start of the runner. `edge-dispatcher deploy` registers the
# same job from dispatcher.toml, one for every set of mounts that a formula may ask for; this file is for those who
# register by hand. The dispatcher compares what is registered with its own configuration and refuses a difference.
#
#   nomad job run -var vault_address=https://vault.example:8200 vault-runner.nomad.hcl
#   nomad job run -var vault_address=… -var name=vault-runner-gpg-ssh -var 'mounts={gpg="agent-gpg",ssh="agent-ssh"}' vault-runner.nomad.hcl
#   nomad job run -var vault_address=… -var driver=raw_exec -var 'runner=["node","/opt/edge-dispatcher/dist/runner/main.js"]' vault-runner.nomad.hcl

variable "name" {
  type        = string
  default     = "vault-runner"
  description = "the job of the formula, and for a variant its mounts, sorted and joined: vault-runner-gpg-ssh"
}

variable "namespace" {
  type        = string
  default     = "agents"
  description = "a namespace of its own: whoever may dispatch, read or stop in it can do so to every run"
}

variable "datacenters" {
  type    = list(string)
  default = ["dc1"]
}

variable "driver" {
  type        = string
  default     = "docker"
  description = "docker in production; exec and raw_exec for hosts without containers, where a run is not isolated"

  validation {
    condition     = contains(["docker", "exec", "raw_exec"], var.driver)
    error_message = "The driver must be docker, exec or raw_exec."
  }
}

variable "image" {
  type        = string
  default     = "edge-dispatcher:local"
  description = "docker: image of the runner"
}

variable "run_as" {
  type        = string
  default     = "65534:65534"
  description = "docker: uid:gid of the command, other than the runner"

  validation {
    condition     = var.run_as != "" && regex_replace(var.run_as, "^[1-9][0-9]{0,8}:[1-9][0-9]{0,8}$", "") == ""
    error_message = "The user run_as must be of the form uid:gid, neither of them 0."
  }
}

variable "runner" {
  type        = list(string)
  default     = ["node", "/opt/edge-dispatcher/dist/runner/main.js"]
  description = "exec, raw_exec: argv of the runner on the clients"
}

variable "runner_ca_file" {
  type        = string
  default     = ""
  description = "where the task finds the CA of the secret store; empty: those of the system"
}

variable "vault_address" {
  type        = string
  default     = ""
  description = "the only secret store whose word the runner takes: address of [access.vault]"
}

variable "vault_namespace" {
  type        = string
  default     = ""
  description = "namespace of [access.vault], if it has one: that of the secrets of runs"
}

variable "artifacts" {
  type        = bool
  default     = false
  description = "collect artifacts; the dispatcher's token then needs read-fs"
}

variable "cpu" {
  type        = number
  default     = 500
  description = "MHz"
}

variable "memory_mb" {
  type        = number
  default     = 512
  description = "Node needs at least 128"
}

variable "log_file_mb" {
  type        = number
  default     = 8
  description = "nine files of this size hold log_bytes of [limits] and 1 MiB more"
}

variable "mounts" {
  type        = map(string)
  default     = {}
  description = "mount name to the name of the clients' host volume; not with raw_exec"
}

locals {
  log_files = 10

  args = concat(
    ["--payload", "$${NOMAD_TASK_DIR}/payload"],
    var.vault_address == "" ? [] : ["--vault", var.vault_address],
    var.vault_namespace == "" ? [] : ["--vault-namespace", var.vault_namespace],
    var.artifacts ? ["--artifacts", "$${NOMAD_ALLOC_DIR}/data/artifacts"] : [],
  )
  host_env = var.runner_ca_file == "" ? {} : { VAULT_CACERT = var.runner_ca_file }
}

job "vault-runner" {
  id          = var.name
  name        = var.name
  type        = "batch"
  namespace   = var.namespace
  datacenters = var.datacenters

  parameterized {
    payload       = "required"
    meta_required = ["action_id", "attempt", "formula", "mounts", "secrets_csv"]
  }

  group "run" {
    count = 1

    # Started once and never again: the wrapper in the payload is good for one start only.
    restart {
      attempts = 0
      mode     = "fail"
      interval = "24h"
      delay    = "15s"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    # A node that comes back in time still tells how the run ended.
    disconnect {
      lost_after = "15m"
      replace    = false
      reconcile  = "keep_original"
    }

    # Both streams, and room for the work of the command.
    ephemeral_disk {
      size = 2 * local.log_files * var.log_file_mb + 300
    }

    dynamic "volume" {
      for_each = var.mounts
      labels   = [volume.key]

      content {
        type      = "host"
        source    = volume.value
        read_only = true
      }
    }

    task "runner" {
      driver = var.driver
      # docker: the runner is root without most of its powers, the command is run_as with none.
      user         = var.driver == "docker" ? "0:0" : ""
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      env = merge(local.host_env, var.driver == "docker" ? { TMPDIR = "$${NOMAD_TASK_DIR}" } : {})

      dynamic "config" {
        for_each = var.driver == "docker" ? ["docker"] : []

        content {
          image           = var.image
          entrypoint      = ["node"]
          command         = "/app/dist/runner/main.js"
          args            = concat(local.args, ["--run-as", var.run_as])
          init            = true
          cap_drop        = ["all"]
          cap_add         = ["CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID"]
          security_opt    = ["no-new-privileges"]
          readonly_rootfs = true
          pids_limit      = 2048

          # Nothing can be executed on it; the directories of the run lie in the task's own.
          mount {
            type     = "tmpfs"
            target   = "/tmp"
            readonly = false

            tmpfs_options {
              size = 268435456
            }
          }
        }
      }

      dynamic "config" {
        for_each = var.driver == "docker" ? [] : ["host"]

        content {
          command = var.runner[0]
          args    = concat(slice(var.runner, 1, length(var.runner)), local.args)
        }
      }

      dispatch_payload {
        file = "payload"
      }

      # The task holds no Nomad token: neither in its environment nor as a file.
      identity {
        env  = false
        file = false
      }

      logs {
        max_files     = local.log_files
        max_file_size = var.log_file_mb
      }

      resources {
        cpu    = var.cpu
        memory = var.memory_mb
      }

      dynamic "volume_mount" {
        for_each = var.mounts

        content {
          volume      = volume_mount.key
          destination = "/mounts/${volume_mount.key}"
          read_only   = true
        }
      }
    }
  }
}
