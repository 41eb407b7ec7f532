# The gateway as a container: not root, writes nothing, needs an external NATS.
#
#   docker build -t percolator .
#   docker run --read-only --tmpfs /tmp -p 3001:3001 -e PERCOLATOR_NATS_URL=nats://... percolator

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
# First what rarely changes: both environments, from the pinned requirements and their hashes.
COPY requirements.txt requirements-build.txt ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt \
    && python -m venv /hatch \
    && /hatch/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY percolator percolator
COPY cli cli
RUN /hatch/bin/python -m hatchling build --target wheel --directory /dist \
    && /venv/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM python:${PYTHON}-slim
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PERCOLATOR_HOST=0.0.0.0 \
    PERCOLATOR_LOG_FORMAT=json
# A percolator.toml may be mounted here.
WORKDIR /etc/percolator
USER 10001:10001
EXPOSE 3001
STOPSIGNAL SIGTERM
# Liveness, not readiness: a gateway must not be restarted because NATS is down. If the gateway itself
# serves TLS, replace this with a check over https.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PERCOLATOR_PORT', '3001') + '/health/live', timeout=2)"]
ENTRYPOINT ["percolator"]
CMD ["serve"]
