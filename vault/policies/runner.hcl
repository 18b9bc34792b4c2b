# Template of runner-<NAME>: reads one secret. `deploy` writes one policy for each secret of the catalogue, with its name
# in the place of {name}.

path "kv/data/edge/runner/{name}" {
  capabilities = ["read"]
}
