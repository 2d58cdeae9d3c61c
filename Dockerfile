# podseal alone: one static binary on an empty root. docs/image.md tells of the
# arguments and of what was measured.
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" --tag podseal:0.3.0 .
#
# amd64 is built and started in CI. arm64 (`--platform linux/arm64`) is built, started under
# emulation and compared with amd64 by `make arm64`, on Debian sid with Debian's Rust. With
# the default BUILDER, whose Rust is the pinned one, nobody has built it yet.

# A base with cargo, a C compiler and libc's static archive. Its Rust is that of
# rust-toolchain.toml, which is not copied: a base without rustup does as well.
ARG BUILDER=rust:1.95.0-slim-bookworm
ARG BUILDPLATFORM

# Cross-compiled on the machine that builds: rustc under emulation is far slower.
# BuildKit knows the platform by itself; buildah 1.28 has to be told.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /build

# The dependencies that the binary carries, in the binary: its SBOM.
RUN cargo install --locked --version 0.7.7 cargo-auditable

# The target follows --platform. To name another that does not fit it is an error:
# the image would say one architecture and hold the other.
ARG TARGETARCH
ARG TARGET
RUN set -eu; \
    host=$(rustc --print host-tuple); \
    case "${TARGETARCH}" in \
      amd64) fits=x86_64-unknown-linux-gnu ;; \
      arm64) fits=aarch64-unknown-linux-gnu ;; \
      "") fits=${TARGET:-$host} ;; \
      *) echo "no podseal for ${TARGETARCH}: --platform linux/amd64 or linux/arm64" >&2; exit 1 ;; \
    esac; \
    if [ "${TARGET:=$fits}" != "$fits" ]; then \
      echo "TARGET=${TARGET} is not for ${TARGETARCH}: give the --platform that it is for" >&2; exit 1; \
    fi; \
    # Static, so that no base has to bring a libc; with paths that are the same
    # wherever this was built; and with relocations that take half a MiB less.
    mkdir .cargo; \
    { printf '[build]\ntarget = "%s"\n' "$TARGET"; \
      printf 'rustflags = ["-Ctarget-feature=+crt-static", "-Clink-arg=-Wl,-z,pack-relative-relocs", "--remap-path-prefix=%s=/cargo"]\n' \
        "${CARGO_HOME:-$HOME/.cargo}"; \
    } >.cargo/config.toml; \
    if [ "$TARGET" != "$host" ]; then \
      case "$TARGET" in \
        aarch64-*) gcc=aarch64-linux-gnu libc=arm64 ;; \
        x86_64-*) gcc=x86-64-linux-gnu libc=amd64 ;; \
      esac; \
      linker=${TARGET%%-*}-linux-gnu-gcc; \
      printf '[target.%s]\nlinker = "%s"\n' "$TARGET" "$linker" >>.cargo/config.toml; \
      # Where the base lacks them: CI's has both of Debian's packages, and no rustup.
      if ! command -v "$linker"; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends "gcc-$gcc" "libc6-dev-$libc-cross"; \
        rm -rf /var/lib/apt/lists/*; \
      fi; \
      if [ ! -d "$(rustc --print target-libdir --target "$TARGET")" ]; then rustup target add "$TARGET"; fi; \
    fi

# The dependencies, in a layer that lasts until Cargo.lock changes. cargo wants
# every file that Cargo.toml names, so there is an empty one for each.
COPY Cargo.toml Cargo.lock ./
COPY crates/admission/Cargo.toml crates/admission/
COPY crates/demo/Cargo.toml crates/demo/
COPY crates/device-plugin-api/Cargo.toml crates/device-plugin-api/
COPY crates/test-cases/Cargo.toml crates/test-cases/
COPY crates/test-support/Cargo.toml crates/test-support/
RUN set -eu; \
    mkdir src benches; \
    for crate in crates/*; do mkdir "$crate/src"; touch "$crate/src/lib.rs"; done; \
    touch src/lib.rs benches/review.rs benches/serving.rs benches/fleet.rs; \
    echo 'fn main() {}' | tee src/main.rs >build.rs; \
    cargo auditable build --release --locked --lib; \
    rm -r src crates/admission/src crates/device-plugin-api/src build.rs

COPY build.rs ./
COPY docs/profile.schema.json docs/
COPY crates crates
COPY src src
# The commit, for `podseal --version`, the log and the metrics.
ARG REVISION
ARG SOURCE_DATE_EPOCH
RUN set -eu; \
    # By their times the files may look older than what stood in for them.
    find build.rs crates src -type f -exec touch {} +; \
    PODSEAL_COMMIT="${REVISION}" cargo auditable build --release --locked --bin podseal; \
    cp target/*/release/podseal /podseal; \
    touch --date="@${SOURCE_DATE_EPOCH:-0}" /podseal

FROM scratch
ARG VERSION=0.3.0
ARG REVISION
LABEL org.opencontainers.image.title="podseal" \
      org.opencontainers.image.description="A Kubernetes admission webhook that makes Podman work inside GitLab Runner job pods" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /podseal /podseal
# A number, which runAsNonRoot can judge; it owns nothing.
USER 65532:65532
# The webhook over TLS; probes and metrics.
EXPOSE 8443 8080
ENTRYPOINT ["/podseal"]
