# The niwa of docker-compose.yml: beside itself it holds git, and the Go
# toolchain that builds Go apps.
ARG GO_IMAGE=golang:1.26-bookworm
FROM ${GO_IMAGE}
WORKDIR /src
COPY . .
RUN CGO_ENABLED=0 go build -buildvcs=false -o /usr/local/bin/niwa . && go clean -cache -modcache && rm -rf /src/*
WORKDIR /
ENV NIWA_DATA=/var/lib/niwa
VOLUME /var/lib/niwa
ENTRYPOINT ["niwa"]
CMD ["up"]
