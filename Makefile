# Everything here runs in .venv, which the first target that needs it creates. Only Python >= 3.11 is assumed;
# `make PYTHON=/path/to/python3 ...` picks another one than the first that is found.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?=
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
SHELL_SCRIPTS := docs/demo.sh
BASH_SCRIPTS := .ci/run .ci/image
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

##@ Set up
.PHONY: venv install peers image-peers
venv: .venv/.made  ## Create .venv with the newest Python >= 3.11 that is found
install: .venv/.installed  ## Install the locked dependencies, and vdvs itself (editable)

.venv/.made:
	@set -e; for python in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "creating .venv with $$("$$python" --version)"; \
	        "$$python" -m venv .venv; touch $@; exit 0; \
	    fi; \
	done; \
	echo "no Python >= 3.11 with venv and ensurepip found; say which: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	exit 1

.venv/.locked: requirements.lock .venv/.made
	$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

.venv/.installed: pyproject.toml .venv/.locked
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Each program, and Debian's package that has it. Only what is missing is installed: a kubectl from elsewhere is one too.
PEERS := sshd:openssh-server ssh-keygen:openssh-client busybox:busybox openssl:openssl chromium:chromium \
    promtool:prometheus jq:jq kubectl:kubernetes-client zsh:zsh fish:fish man:man-db mandoc:mandoc dot:graphviz
VCSIM := tests/peers/vcsim-more
CACHED := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vdvs-peers
# The version is that of the module with the tool.
built = $(foreach one,$(1),$(CACHED)/$(one)-$(shell awk '$$1 == "tool" { tool = $$2 "/" } \
    $$2 ~ /^v[0-9]/ && index(tool, $$1 "/") == 1 { print $$2 }' tests/kubernetes/$(one)/go.mod))
KUBE := $(call built,etcd kube-apiserver)
KUBE_TOO := $(call built,helm kustomize-controller)
peers: .peers/vcsim  ## Install what tests talk to (sshd, busybox, vcsim, chromium, promtool, jq, Graphviz, shells, a Kubernetes API, Helm, Flux); without it those tests are skipped
	@code=0; \
	for peer in $(PEERS); do \
	    PATH="$$PATH:/usr/sbin" command -v "$${peer%%:*}" >/dev/null || missing="$$missing $${peer#*:}"; done; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" -ne 0 ]; then root=sudo; fi; \
	    $$root apt-get update -qq && \
	    $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing || code=1; \
	fi; \
	$(MAKE) --no-print-directory $(KUBE) || code=1; \
	$(if $(KUBE_TOO),$(MAKE) --no-print-directory --keep-going $(KUBE_TOO) || echo "their tests are skipped" >&2;) \
	exit $$code

# A Go that is too old cannot fetch a newer one by itself, but it can fetch it as a module. Sets $$go.
GO_TOOLCHAIN := golang.org/toolchain@v0.0.1-go1.26.8
NEW_GO = go=go; \
	case "$$(go env GOVERSION)" in go1.2[6-9]*|go1.[3-9][0-9]*) ;; *) \
	    found=$$(cd / && go mod download -json "$(GO_TOOLCHAIN).$$(go env GOOS)-$$(go env GOARCH)"); \
	    folder=$$(printf '%s\n' "$$found" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); \
	    chmod -R u+x "$$folder/bin" "$$folder/pkg/tool"; export GOROOT="$$folder"; go="$$folder/bin/go";; \
	esac
.peers/vcsim: $(wildcard $(VCSIM)/*)
	@set -e; $(NEW_GO); cd $(VCSIM) && "$$go" build -o "$(CURDIR)/$@" .

# Minutes to build, so they are kept outside the checkout, by their versions.
VERSION_FLAGS = -X k8s.io/component-base/version.gitVersion=$(1) -X k8s.io/client-go/pkg/version.gitVersion=$(1) \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(1)))
$(KUBE) $(KUBE_TOO): $(CACHED)/%:
	@set -e; $(NEW_GO); mkdir -p "$(CACHED)"; echo "building $*: minutes, but once only"; \
	cd tests/kubernetes/$(basename $(basename $(basename $(subst -v,.,$*)))); \
	tool=$$(sed -n 's/^tool //p' go.mod); \
	CGO_ENABLED=0 "$$go" build -buildvcs=false -trimpath -o "$@.new" \
	    -ldflags "-s -w $(if $(filter kube-%,$*),$(call VERSION_FLAGS,v$(lastword $(subst -v, ,$*))))" "$$tool"; \
	crds=$$("$$go" list -f '{{.Module.Dir}}' "$$tool")/config/crd/bases; \
	if [ -d "$$crds" ]; then cat "$$crds"/*.yaml > "$@.yaml"; fi; \
	mv "$@.new" "$@"

# A base of Debian's packages in place of the one that the Dockerfile names, which only a registry has.
IMAGE_BASE := $(CACHED)/image-base.tar
image-peers: $(IMAGE_BASE)  ## Install what the test of the image needs: buildah, and a base image (minutes); without it that test is skipped
$(IMAGE_BASE):
	@set -e; mkdir -p "$(CACHED)"; if [ "$$(id -u)" -ne 0 ]; then root=sudo; fi; \
	$$root apt-get update -qq; \
	$$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah mmdebstrap; \
	mmdebstrap --quiet --variant=apt --include=python3,python3-venv,ca-certificates \
	    --customize-hook='ln -s /usr/bin/python3 "$$1/usr/local/bin/python"' trixie "$@.new.tar"; \
	mv "$@.new.tar" "$@"

##@ Check
.PHONY: test test-coverage test-agent test-agent-ci test-slow fuzz lint format
WORKERS := auto
SIDE_BY_SIDE = -n $(WORKERS) --dist worksteal
test: install  ## Run the tests but the slow ones, as many at once as there are cores (ARGS="-n 0 PATH" for one after the other)
	$(RUN) python -m pytest $(SIDE_BY_SIDE) -m "not slow" $(ARGS)

# Of what runs in the tests' own processes: agents and commands that they start are not counted. A figure to read, no aim.
COVERAGE := --cov=reconciler --cov-report=term:skip-covered
test-coverage: install  ## Run the same tests, and print how much of each module they ran
	$(RUN) python -m pytest $(SIDE_BY_SIDE) -m "not slow" $(COVERAGE) $(ARGS)

test-slow: install  ## Run the slow tests too (VDVS_REPEAT=0.5: what is different each time half as often)
	$(RUN) python -m pytest $(SIDE_BY_SIDE) $(ARGS)

# Mutations of valid inputs, read by what reads them. `python -m tests.fuzz.run --help` has more, as running one again.
SECONDS := 60
fuzz: install  ## Fuzz what is read from others (SECONDS=600, ARGS="--target plans")
	$(RUN) python -m tests.fuzz.run --seconds $(SECONDS) $(ARGS)

AGENT_PYTHONS ?= $(wildcard $(HOME)/.pyenv/versions/2.7.*/bin/python $(HOME)/.pyenv/versions/3.*/bin/python)
test-agent: install  ## Run the agent's tests (but the slow ones) under every other Python that is found (AGENT_PYTHONS="...")
	@set -e; for python in $(AGENT_PYTHONS); do \
	    echo "the agent under $$("$$python" --version 2>&1)"; \
	    $(RUN) VDVS_AGENT_PYTHON="$$python" python -m pytest $(SIDE_BY_SIDE) -m "not slow" tests/agent $(ARGS); \
	done

# The Pythons of ESXi 6.0, 6.5 and 6.7, 7.0, and the newest that is found.
CI_PYTHONS = $(foreach one,2.7 3.6 3.8,$(wildcard $(HOME)/.pyenv/versions/$(one).*/bin/python)) \
    $(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/3.1?.*/bin/python)))
test-agent-ci: AGENT_PYTHONS = $(CI_PYTHONS)
test-agent-ci: test-agent  ## Run them under the four that CI takes

lint: install  ## Check style, types, layers, and the syntax the agent may use
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) vermin --quiet --no-tips --violations -t=2.7- -t=3.5- reconciler/agent
	for script in $(SHELL_SCRIPTS); do sh -n "$$script" || exit 1; done
	for script in $(BASH_SCRIPTS); do bash -n "$$script" || exit 1; done

format: install  ## Reformat the code and fix what ruff can fix
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

##@ Try
.PHONY: demo bench bench-watch bench-page bench-peers bench-operator soak
demo: install  ## Run the whole procedure on the embedded site, in manifests/.vdvs-lab
	$(RUN) sh docs/demo.sh

bench: install  ## Measure, and print ratios (ARGS=--quick for a tenth of the size)
	$(RUN) python benchmarks/run.py $(ARGS)

bench-watch: install peers  ## Measure the watch: a quiet pass against the first, and from a change to the page (ARGS="--hosts 50")
	$(RUN) PYTHONPATH=. python benchmarks/watch.py $(ARGS)
	$(RUN) PYTHONPATH=.:benchmarks python benchmarks/open_pages.py

bench-page: install peers  ## Measure the page of 2,500 hosts and 2,000 vmgroups in Chromium: first view, longest frame, bytes sent (ARGS="--rounds 3")
	$(RUN) PYTHONPATH=. python benchmarks/page.py $(ARGS)

soak: install  ## Ten minutes of drifts, ten a second: memory, descriptors, threads and history must level off (ARGS="--minutes 60")
	$(RUN) PYTHONPATH=. python benchmarks/soak.py $(ARGS)

# What others take to run one command on the same hosts, in an environment of its own.
OTHERS := benchmarks/others
.peers/others/.made: $(OTHERS).lock .venv/.made
	$(BIN)/python -m venv .peers/others
	.peers/others/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r $(OTHERS).lock
	@touch $@

bench-peers: install peers .peers/others/.made  ## Measure with real SSH servers and a vCenter simulator (ARGS="--hosts 40 --vms 1000")
	$(RUN) PYTHONPATH=. python benchmarks/peers.py $(ARGS)

# What receives the same objects, beside us.
KOPF := benchmarks/kube/kopf
$(CACHED)/kopf/.made: $(KOPF).lock .venv/.made
	$(BIN)/python -m venv $(CACHED)/kopf
	$(CACHED)/kopf/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r $(KOPF).lock
	@touch $@

bench-operator: install peers $(CACHED)/kopf/.made  ## Measure the operator with a real Kubernetes API (ARGS=--quick for a tenth of the size)
	$(RUN) PYTHONPATH=.:benchmarks python benchmarks/kube/run_all.py $(ARGS)

##@ Release
.PHONY: dist onefile release image audit image-digest
# In an environment of their own: with what they bring along, jsonschema would check more than in production, slowly.
SUPPLY := .ci/supply
.venv/supply/.made: $(SUPPLY).lock .venv/.made
	$(BIN)/python -m venv .venv/supply
	.venv/supply/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r $(SUPPLY).lock
	@touch $@

# Whatever is built says of itself that it is as old as the commit, so it is the same each time.
DIST := dist
BUILT = $(DIST)/vdvs-$(VERSION).tar.gz $(DIST)/vdvs-$(VERSION)-py3-none-any.whl
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' reconciler/__init__.py)
dist onefile release image: export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),315532800)
dist: install .venv/supply/.made  ## Build sdist and wheel in dist/
	mkdir -p $(DIST)
	$(RUN) python -m build --no-isolation --outdir $(DIST)
	.venv/supply/bin/python -m twine check --strict $(BUILT)

ONEFILE_PYTHONS := 3.11 3.12 3.13 3.14
ONEFILE_MACHINE := x86_64
onefile: dist  ## Build dist/vdvs.pyz, one file for ONEFILE_PYTHONS="3.11 3.12 ..." and ONEFILE_MACHINE=x86_64 or aarch64
	.venv/supply/bin/python .ci/onefile.py $(lastword $(BUILT)) requirements-run.lock $(DIST)/vdvs.pyz \
	    --python $(ONEFILE_PYTHONS) --machine $(ONEFILE_MACHINE)

release: onefile  ## Build sdist, wheel, the one file, an SBOM (CycloneDX) of what runs, and checksums in dist/
	sed 's/^dynamic = .*/version = "$(VERSION)"/' pyproject.toml > $(DIST)/pyproject.toml
	.venv/supply/bin/python -W ignore -m cyclonedx_py requirements requirements-run.lock --output-reproducible \
	    --pyproject $(DIST)/pyproject.toml --output-file $(DIST)/vdvs-$(VERSION).cdx.json
	rm $(DIST)/pyproject.toml
	cd $(DIST) && sha256sum -- $(notdir $(BUILT)) vdvs.pyz vdvs-$(VERSION).cdx.json > SHA256SUMS && cat SHA256SUMS

# A registry gets it by `skopeo copy oci-archive:FILE docker://...`.
IMAGE = $(DIST)/vdvs-$(VERSION).image
image: .venv/supply/.made  ## Build the image by buildah or docker as an OCI archive in dist/, and its SBOM (ARGS: options of the builder)
	mkdir -p $(DIST)
	.ci/image $(IMAGE).tar $(VERSION) $(ARGS)
	.venv/supply/bin/python -W ignore .ci/image_sbom.py $(IMAGE).tar $(IMAGE).cdx.json

audit: install .venv/supply/.made  ## Look for published vulnerabilities of the locked run dependencies, where that can be done
	.venv/supply/bin/python .ci/audit.py requirements-run.lock $(ARGS)

image-digest:  ## Ask the registry for the digest of the tag that the Dockerfile names (needs docker)
	@tag=$$(sed -n 's/^ARG PYTHON=\([^@]*\)@.*/\1/p' Dockerfile); \
	docker buildx imagetools inspect --format "$$tag@{{.Manifest.Digest}}" "$$tag"

##@ Keep
.PHONY: docs docs-shown docs-site crds vendor pictures
pictures: install  ## Take the pictures of the page in docs/pictures/ anew, in Chromium (make peers)
	$(RUN) python -m tests.dashboard.pictures

vendor: install  ## Fetch the libraries of the page, and of its tests, anew from the npm registry, with licences and hashes (needs npm)
	$(RUN) python .ci/vendor.py

crds: install  ## Write deploy/kubernetes/crds/ anew, from the schemas, the lists of kinds, and the templates of the Helm chart
	$(RUN) python deploy/kubernetes/generate.py
	$(RUN) python deploy/kubernetes/chart.py

docs: install  ## Write docs/cli.md, docs/reference/ with its menu, and schemas/manifest.v1.json anew, from the commands and the schemas
	$(RUN) python docs/generate.py

docs-shown: install  ## Run the commands of README and docs/, and write what comes into them (ARGS=README.md for one page)
	$(RUN) python -m tests.docs.run --write $(ARGS)

# In an environment of its own, as nothing else needs it.
PUBLISHER := .ci/docs
.venv/docs/.made: $(PUBLISHER).lock .venv/.made
	$(BIN)/python -m venv --without-pip .venv/docs
	$(PIP) --python .venv/docs install --quiet --no-compile --require-hashes -r $(PUBLISHER).lock
	@touch $@

docs-site: .venv/docs/.made  ## Build the docs site in build/docs/site; a link that leads nowhere, or anything loaded from elsewhere, fails
	.venv/docs/bin/python docs/publish.py

.PHONY: lock clean help
lock: .venv/.locked  ## Resolve the dependencies anew (ARGS=--upgrade for newer releases)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "lock with Python 3.11, the oldest we run on")'
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) $(ARGS) \
	    --extra dev --output-file requirements.lock pyproject.toml
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) \
	    --constraint requirements.lock --output-file requirements-run.lock pyproject.toml
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) --only-build-deps --build-deps-for wheel \
	    --constraint requirements.lock --output-file requirements-build.lock pyproject.toml
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) $(ARGS) \
	    --output-file $(OTHERS).lock $(OTHERS).in
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) $(ARGS) \
	    --output-file $(KOPF).lock $(KOPF).in
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) $(ARGS) \
	    --output-file $(SUPPLY).lock $(SUPPLY).in
	$(RUN) CUSTOM_COMPILE_COMMAND="make lock" python -m piptools compile $(LOCK) $(ARGS) \
	    --output-file $(PUBLISHER).lock $(PUBLISHER).in

# No address of a package index may get into a lock: whoever installs says where from.
LOCK := --quiet --generate-hashes --strip-extras --allow-unsafe --no-annotate \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

clean:  ## Remove what was made here, .venv and the demo's lab included; .peers and tests/fuzz/found stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist manifests/.vdvs-lab
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
