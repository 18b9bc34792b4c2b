# The namespace of the runs, as `edge-dispatcher deploy` creates it:
#
#   nomad namespace apply namespace.hcl
#
# Nomad has no rights by job: whoever may dispatch, read or stop in a namespace can do so to every job in it. Nothing but
# the runs belongs here, and nobody but the dispatcher and operators needs rights in it. It is made once and then left
# alone: limits of task drivers, node pools and quotas are yours.

name        = "agents"
description = "runs of the edge dispatcher"
