# What the token of every run may do besides reading its secrets: compare itself with its payload, and end.

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/revoke-self" {
  capabilities = ["update"]
}
