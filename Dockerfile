# Two images from one build: `--target manager` is the operator, `--target englog` is the service with all its roles.
# Both hold one static binary, certificates and no shell.
#   docker build --target englog --build-arg VERSION=1.0.0 -t englog:1.0.0 .

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS source
WORKDIR /src
# Dependencies change less often than sources: a layer of their own.
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY workload workload
ARG TARGETOS TARGETARCH
ARG VERSION=0.0.0-dev
# Build tags beside timetzdata, for example nextrelease.
ARG TAGS=
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOOS=$TARGETOS GOARCH=$TARGETARCH
ENV LDFLAGS="-s -w -X github.com/garnizeh/englog-operator/workload/run.Version=$VERSION"

FROM source AS build-manager
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    GOCACHE=/go/build-cache go build -ldflags "$LDFLAGS" -o /out/manager ./cmd/manager

FROM source AS build-englog
# timetzdata embeds the time zones: a user's day ends in the user's zone, whatever the node knows of zones.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    GOCACHE=/go/build-cache go build -tags "timetzdata $TAGS" -ldflags "$LDFLAGS" -o /out/englog ./cmd/englog

# The user is a number, so that runAsNonRoot can be checked without looking into the image.
FROM scratch AS manager
LABEL org.opencontainers.image.title="englog-operator" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/garnizeh/englog-operator"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build-manager /out/manager /manager
USER 1000:1000
ENTRYPOINT ["/manager"]

FROM scratch AS englog
LABEL org.opencontainers.image.title="englog" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/garnizeh/englog-operator"
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build-englog /out/englog /englog
USER 1000:1000
EXPOSE 8080 8081
ENTRYPOINT ["/englog"]
