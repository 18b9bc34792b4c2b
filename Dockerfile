# One image, two programs: the dispatcher (ENTRYPOINT, as a user without rights) and the runner inside of jobs, which
# jobs/vault-runner.nomad.hcl starts as root with all capabilities dropped but those that another uid for the command
# needs: entrypoint ["node", "/app/dist/runner/main.js"], args ["--payload", FILE, "--run-as", "UID:GID", …].
# Both work on a read-only root file system: the runner needs /tmp, the dispatcher /tmp and /var/lib/edge-dispatcher.
FROM node:20.20.2-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

FROM node:20.20.2-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force

FROM node:20.20.2-bookworm-slim
# openssh-client and gnupg are also what commands with the mounts ssh and gpg use.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates git gnupg openssh-client \
  && rm -rf /var/lib/apt/lists/*

# All state of the dispatcher, HOME included (git and ssh look there): mount a volume here. It is no VOLUME, or each
# runner's container had one too; and no HEALTHCHECK, or it were run beside each command: the service job has a check.
RUN groupadd --gid 10001 dispatcher \
  && useradd --uid 10001 --gid dispatcher --home-dir /var/lib/edge-dispatcher --no-create-home --shell /usr/sbin/nologin dispatcher \
  && install --directory --owner=dispatcher --group=dispatcher --mode=0700 /var/lib/edge-dispatcher
ENV NODE_ENV=production HOME=/var/lib/edge-dispatcher LANG=C.UTF-8

WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/package.json ./
COPY --from=build /app/dist ./dist
# What `deploy` registers, and what a person reads who sets it up by hand.
COPY jobs ./jobs
COPY vault ./vault
COPY deploy ./deploy

USER 10001:10001
WORKDIR /var/lib/edge-dispatcher

# Run with `--init` (Docker) or `init = true` (Nomad), so that what git or a command leaves behind is reaped.
ENTRYPOINT ["node", "--enable-source-maps", "/app/dist/main.js"]
CMD ["run"]
