# vdvs in a container, without root and without needing a shell:
#   docker build -t vdvs . && docker run --rm -v "$PWD/manifests:/manifests:ro" vdvs validate -f /manifests
# A watch in it is the first process: it takes SIGTERM, finishes its pass and ends. deploy/compose.yaml shows one.
# tests/contracts/test_image.py does the same build steps (wheel, locked dependencies, installed wheel) without Docker.

# By digest: the tag alone may be another image tomorrow. `make image-digest` asks the registry for the tag's present one.
ARG PYTHON=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON} AS build
WORKDIR /src
COPY requirements.lock requirements-run.lock ./
# The first environment has the build tools at their locked versions, the second only what runs.
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
    && python -m venv /opt/vdvs && /opt/vdvs/bin/pip install --no-cache-dir --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY manifests/*.yaml manifests/
COPY reconciler reconciler
RUN /build/bin/python -m build --wheel --no-isolation --outdir /dist \
    && /opt/vdvs/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl \
    && /opt/vdvs/bin/pip uninstall --yes pip

FROM ${PYTHON}
COPY --from=build /opt/vdvs /opt/vdvs
# git tells from which commit the manifests are, ssh-keygen whose signature it has; ssh evaluates ~/.ssh/config.
RUN apt-get update && apt-get install --yes --no-install-recommends git openssh-client && rm -rf /var/lib/apt/lists/*
# What a watch keeps: its history, and logins that were refused.
RUN install -d -o 10001 -g 10001 /var/lib/vdvs
ENV PATH=/opt/vdvs/bin:$PATH PYTHONUNBUFFERED=1 XDG_STATE_HOME=/var/lib/vdvs
USER 10001:10001
WORKDIR /manifests
ENTRYPOINT ["vdvs"]
CMD ["--help"]
