# What Nomad may read for a sidecar, by the identity of its task: the token of the forge's bot, and nothing else. `deploy`
# writes the path of bot_token_path in the place of this one.

path "kv/data/edge/sidecar/bot" {
  capabilities = ["read"]
}
