# syntax=docker/dockerfile:1

# The gateway as a container image: Node, what package-lock.json names for production, and src/. There is no
# build: Node runs the TypeScript as it is.
#
#   docker build -t fleetgraph .
#   docker run --rm -u "$(id -u)" -v "$PWD:/tokens" fleetgraph token create --name me --file /tokens/tokens.yaml
#   docker run -p 127.0.0.1:4000:4000 -e FLEETGRAPH_SERVER_HOST=0.0.0.0 \
#     -v "$PWD/tokens.yaml:/tokens.yaml:ro" -e FLEETGRAPH_AUTHENTICATION_TOKENS_FILE=/tokens.yaml \
#     -v ~/.kube:/home/node/.kube:ro fleetgraph

# The version is that of the `node` package in package.json, which the tests run on; a test holds the two equal.
FROM node:26.10.0-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Without scripts the `node` package stays empty: the image brings Node along.
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:26.10.0-slim
ENV NODE_ENV=production
WORKDIR /app
# Owned by root and writable by nobody else. Nothing is written at run time: `--read-only` needs no tmpfs.
COPY package.json ./
COPY --from=dependencies /app/node_modules node_modules
# The first tabs of GraphiQL.
COPY examples/portal/tour examples/portal/tour
COPY src src
# The image's user `node`, by number, so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 4000
# That the process turns its event loop; whether it should get traffic is /readyz.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.FLEETGRAPH_SERVER_PORT ?? 4000}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and ends on SIGTERM by itself, once answers in flight have ended.
ENTRYPOINT ["node", "src/main.ts"]
CMD ["serve"]
