# The job that runs sidecars: agents that work on issues of the forge, one dispatch for each run. `edge-dispatcher deploy`
# registers the same job from dispatcher.toml, and one more for each set of mounts that a formula of [[sidecar]] has; this
# file is for those who register by hand. The dispatcher compares what is registered with its own configuration and
# refuses a difference.
#
#   nomad job run -var vault_address=https://vault.example:8200 sidecar.nomad.hcl
#   nomad job run -var vault_address=… -var name=sidecar-gpg-ssh -var 'mounts={gpg="agent-gpg",ssh="agent-ssh"}' sidecar.nomad.hcl
#   nomad job run -var vault_address=… -var driver=exec -var 'runner=["node","/opt/edge-dispatcher/dist/runner/main.js"]' sidecar.nomad.hcl

variable "name" {
  type        = string
  default     = "sidecar"
  description = "sidecar, and for a variant the mounts of its formula, sorted and joined: sidecar-gpg-ssh"
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
  description = "docker in production; exec for hosts without containers, where a run is not isolated"

  # raw_exec mounts nothing, and the token that Nomad reads the secret with would lie open to the task.
  validation {
    condition     = contains(["docker", "exec"], var.driver)
    error_message = "The driver must be docker or exec."
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
  description = "exec: argv of the runner on the clients"
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
  description = "mount name to the name of the clients' host volume"
}

variable "project_repos" {
  type        = string
  default     = "project-repos"
  description = "host volume, read-only at /mounts/project-repos; empty: none"
}

variable "ops_repo" {
  type        = string
  default     = "ops-repo"
  description = "host volume, read-only at /mounts/ops-repo; empty: none"
}

variable "agent_data" {
  type        = string
  default     = "agent-data"
  description = "host volume for the data of each run, at /volumes/agent-data; empty: none"
}

variable "bot_token_path" {
  type        = string
  default     = "kv/data/edge/sidecar/bot"
  description = "API path (KV version 2) of the secret that holds the token of the forge's bot; empty: none"
}

variable "bot_token_field" {
  type    = string
  default = "value"
}

variable "vault_role" {
  type        = string
  default     = "edge-sidecar"
  description = "role of the secret store that Nomad logs in by, in its default auth mount"
}

variable "audience" {
  type        = string
  default     = "vault.io"
  description = "of the identity that Nomad logs in with"
}

locals {
  log_files = 10

  args = concat(
    ["--payload", "$${NOMAD_TASK_DIR}/payload"],
    var.vault_address == "" ? [] : ["--vault", var.vault_address],
    var.vault_namespace == "" ? [] : ["--vault-namespace", var.vault_namespace],
    var.artifacts ? ["--artifacts", "$${NOMAD_ALLOC_DIR}/data/artifacts"] : [],
    var.bot_token_path == "" ? [] : ["--bot-token", "$${NOMAD_SECRETS_DIR}/bot-token"],
    var.agent_data == "" ? [] : ["--agent-data", "/volumes/agent-data"],
  )
  bot_token = var.bot_token_path == "" ? [] : [var.bot_token_path]

  # Volume to what the clients call it, where it is mounted, and whether nothing can be written to it.
  own_volumes = {
    for name, volume in {
      "project-repos" = { source = var.project_repos, destination = "/mounts/project-repos", read_only = true }
      "ops-repo"      = { source = var.ops_repo, destination = "/mounts/ops-repo", read_only = true }
      "agent-data"    = { source = var.agent_data, destination = "/volumes/agent-data", read_only = false }
    } : name => volume if volume.source != ""
  }
  volumes = merge(local.own_volumes, {
    for name, source in var.mounts : name => { source = source, destination = "/mounts/${name}", read_only = true }
  })
  host_env = var.runner_ca_file == "" ? {} : { VAULT_CACERT = var.runner_ca_file }
}

job "sidecar" {
  id          = var.name
  name        = var.name
  type        = "batch"
  namespace   = var.namespace
  datacenters = var.datacenters

  parameterized {
    payload       = "required"
    meta_required = ["issue_number", "formula", "project_toml"]
    meta_optional = ["action_id", "attempt", "mounts", "secrets_csv"]
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
      for_each = local.volumes
      labels   = [volume.key]

      content {
        type      = "host"
        source    = volume.value.source
        read_only = volume.value.read_only
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
          # With its powers the user nobody of this driver reads all files of the task, those of Nomad too.
          cap_drop = ["all"]
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

      # Nomad itself logs in to the secret store with this one, and reads the bot token: neither the identity nor the
      # store's token gets into the task.
      dynamic "identity" {
        for_each = local.bot_token

        content {
          name = "vault_default"
          aud  = [var.audience]
          env  = false
          file = false
          ttl  = "1h"
        }
      }

      dynamic "vault" {
        for_each = local.bot_token

        content {
          role                   = var.vault_role
          env                    = false
          disable_file           = true
          change_mode            = "noop"
          allow_token_expiration = true
        }
      }

      dynamic "template" {
        for_each = local.bot_token

        content {
          data                 = "{{ with secret \"${template.value}\" }}{{ .Data.data.${var.bot_token_field} }}{{ end }}"
          destination          = "secrets/bot-token"
          perms                = "0400"
          uid                  = var.driver == "exec" ? 65534 : null
          gid                  = var.driver == "exec" ? 65534 : null
          change_mode          = "noop"
          error_on_missing_key = true
          once                 = true
        }
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
        for_each = local.volumes

        content {
          volume      = volume_mount.key
          destination = volume_mount.value.destination
          read_only   = volume_mount.value.read_only
        }
      }
    }
  }
}
