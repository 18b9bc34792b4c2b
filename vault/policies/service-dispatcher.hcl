# What the dispatcher's own token may do: mint wrapped tokens on one role, look at metadata, and look up and take back
# what it minted. It reads no value of a secret, and it makes no right for itself.

path "auth/token/create/edge-run" {
  capabilities        = ["create", "update"]
  min_wrapping_ttl    = "60s"
  max_wrapping_ttl    = "90000s"
  required_parameters = ["policies", "ttl", "explicit_max_ttl", "meta"]
}

path "auth/token/roles/edge-run" {
  capabilities = ["read"]
}

# Every minted token is compared with what was asked for, while it is still wrapped.
path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}

path "sys/capabilities-accessor" {
  capabilities = ["update"]
}

path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}

# Which secrets there are, and the names of their fields; never their values.
path "kv/metadata/edge/runner/*" {
  capabilities = ["read", "list"]
}

path "kv/subkeys/edge/runner/*" {
  capabilities = ["read"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}
