# vdvs in a container, without root and without needing a shell. `make image` builds it so that it is the same each time,
# with all its labels and an SBOM; for a look:
#   docker build -t vdvs . && docker run --rm -v "$PWD/manifests:/manifests:ro" vdvs validate -f /manifests
# A watch in it is the first process: it takes SIGTERM, finishes its pass and ends. deploy/compose.yaml shows one.
# tests/packages/test_image.py builds it by buildah on a base of Debian's packages, twice, and runs it.

# By digest: the tag alone may be another image tomorrow. `make image-digest` asks the registry for the tag's present one.
ARG PYTHON=docker.io/library/python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON} AS build
# Of the last commit; the moment that files have in what is built. Not 0, which is before what a ZIP can say.
ARG SOURCE_DATE_EPOCH=315532800
WORKDIR /src
COPY requirements-build.lock requirements-run.lock ./
# The first environment has the build tools at their locked versions, the second only what runs.
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && python -m venv --without-pip /opt/vdvs && /build/bin/pip --python /opt/vdvs install --no-cache-dir --no-compile \
        --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY share share
COPY manifests/*.yaml manifests/
COPY reconciler reconciler
# Compiled by hash: what is compiled by time differs at each build.
RUN /build/bin/pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /dist . \
    && /build/bin/pip --python /opt/vdvs install --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl \
    && PYTHONHASHSEED=0 python -m compileall -qf --invalidation-mode unchecked-hash /opt/vdvs/lib

FROM ${PYTHON}
LABEL org.opencontainers.image.title=vdvs \
    org.opencontainers.image.description="Declarative configuration of the vSphere Docker Volume Service" \
    org.opencontainers.image.licenses=Apache-2.0
COPY --from=build /opt/vdvs /opt/vdvs
# git tells from which commit the manifests are, ssh-keygen whose signature it has; ssh evaluates ~/.ssh/config.
RUN apt-get update && apt-get install --yes --no-install-recommends git openssh-client \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log /var/cache/apt/*.bin /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old
# What a watch keeps: its history, and logins that were refused.
RUN install -d -o 10001 -g 10001 /var/lib/vdvs
ENV PATH=/opt/vdvs/bin:$PATH PYTHONUNBUFFERED=1 XDG_STATE_HOME=/var/lib/vdvs
USER 10001:10001
WORKDIR /manifests
ENTRYPOINT ["vdvs"]
CMD ["--help"]
