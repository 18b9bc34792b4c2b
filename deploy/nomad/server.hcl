# For the servers; merge it into their configuration.

server {
  # Lines of the event stream that a server holds for whoever comes back. The dispatcher reads everything anew when it has
  # missed some, so this saves work only.
  event_buffer_size = 10000

  # How long an ended run can still be read. Longer than the dispatcher may be away.
  job_gc_threshold  = "24h"
  eval_gc_threshold = "24h"
}

# Without ACLs anybody can read, change and stop the runs: the dispatcher then refuses to work.
acl {
  enabled = true
}

# How many connections one address may have; the dispatcher keeps a few dozen.
limits {
  http_max_conns_per_client = 200
}
