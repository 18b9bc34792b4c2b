FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force

FROM node:24-bookworm-slim
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
  && rm -rf /var/lib/apt/lists/*

# The root file system may be read-only: all state is in the volume, HOME included (git and ssh look there).
RUN groupadd --gid 10001 dispatcher \
  && useradd --uid 10001 --gid dispatcher --home-dir /var/lib/edge-dispatcher --no-create-home --shell /usr/sbin/nologin dispatcher \
  && install --directory --owner=dispatcher --group=dispatcher --mode=0700 /var/lib/edge-dispatcher
ENV NODE_ENV=production HOME=/var/lib/edge-dispatcher TMPDIR=/var/lib/edge-dispatcher LANG=C.UTF-8

WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/package.json ./
COPY --from=build /app/dist ./dist

USER 10001:10001
WORKDIR /var/lib/edge-dispatcher
VOLUME /var/lib/edge-dispatcher

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9467/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

# Run with `--init` (Docker) or `init = true` (Nomad), so that what git leaves behind is reaped.
ENTRYPOINT ["node", "--enable-source-maps", "/app/dist/main.js"]
CMD ["run"]
