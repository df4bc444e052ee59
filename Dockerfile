# One image for every service of ours; what a container does is its command.
# Another base: docker compose build --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim

# -- build: dependencies first, since they change less often than our own code
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml constraints.txt ./
COPY poolrace/pyproject.toml poolrace/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -c "import tomllib; \
needed = [each for path in ('pyproject.toml', 'poolrace/pyproject.toml') \
          for each in tomllib.load(open(path, 'rb'))['project']['dependencies']]; \
print(*(each for each in needed if not each.startswith('poolrace')), sep='\n')" > requirements.txt \
 && python -m venv --without-pip /opt/poolrace \
 && pip --python /opt/poolrace install --quiet --constraint constraints.txt --requirement requirements.txt \
 # Celery loads every plugin it finds, in each of its processes: Flower is where its own service alone finds it.
 && pip install --quiet --constraint constraints.txt --no-deps --target /opt/flower flower tornado humanize pytz \
 && pip install --quiet --constraint constraints.txt hatchling \
 # 45 MB of numpy's and scipy's own tests
 && find /opt/poolrace/lib/*/site-packages/numpy /opt/poolrace/lib/*/site-packages/scipy -depth \
      -type d -name tests -exec rm -rf {} +
COPY README.md LICENSE ./
COPY poolrace poolrace
COPY worker worker
COPY producer producer
COPY scenarios scenarios
RUN pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels ./poolrace . \
 && pip --python /opt/poolrace install --quiet --no-cache-dir --no-deps --no-index /wheels/*.whl

# -- final: the interpreter and the virtual environment, and nothing that could install more
FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Poolrace" \
      org.opencontainers.image.description="Races Celery's worker pools on the same jobs and tells which to use, with evidence." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
# A volume that is new takes the owner of the folder it covers.
RUN python -m pip uninstall --quiet --yes --root-user-action=ignore pip \
 && groupadd --gid 10001 poolrace \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin poolrace \
 && install -d -o 10001 -g 10001 -m 0700 /run/poolrace /run/poolrace-tls /var/lib/redis-data \
 && install -d -o 10001 -g 10001 /var/lib/poolrace /var/lib/poolrace/runs /var/lib/poolrace/disk
COPY --chmod=0755 deploy/healthy.sh /usr/local/bin/healthy
COPY --from=build /opt/poolrace /opt/poolrace
COPY --from=build /opt/flower /opt/flower
ENV PATH=/opt/poolrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/poolrace
USER 10001:10001
ENTRYPOINT ["poolrace"]
CMD ["--help"]
