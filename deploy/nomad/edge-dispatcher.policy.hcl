# What the dispatcher may do in Nomad, and no more: in the namespace of the runs only. `edge-dispatcher deploy` registers
# it with the namespace of [engine.nomad]. For a daemon that runs as a Nomad job, attach it to that job, which has to be
# in another namespace:
#
#   nomad acl policy apply -namespace edge -job edge-dispatcher edge-dispatcher edge-dispatcher.policy.hcl
#
# Not given: submit-job (it could register a job of its own and so choose what runs with the secrets), alloc-exec,
# alloc-lifecycle, node, agent and operator rights.

namespace "agents" {
  capabilities = [
    "dispatch-job",   # start a run
    "read-job",       # jobs, allocations, evaluations and their events
    "list-jobs",      # find a run again
    "read-logs",      # collect its output
    "deregister-job", # stop a run; without purge
    # read-fs: collect its artifacts; with artifacts = true only, since it shows all files of a run
  ]
}
