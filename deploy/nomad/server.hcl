# For the servers; merge it into their configuration.

server {
  # Lines of the event stream that a server holds for whoever comes back. The dispatcher reads everything anew when it has
  # missed some, so this saves work only.
  event_buffer_size = 10000

  # How long an ended run can still be read: longer than the dispatcher may be away, and shorter the more is dispatched
  # (docs/operating.md, Retention). With 4 hours, 20 dispatches a minute keep at most 4,800 jobs.
  job_gc_threshold = "4h"
}

# Without ACLs anybody can read, change and stop the runs: the dispatcher then refuses to work.
acl {
  enabled = true
}

# How many connections one address may have; the dispatcher keeps a few dozen.
limits {
  http_max_conns_per_client = 200
}
