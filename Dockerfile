# The gateway in a small image: `docker build -t ponder .`, then
# `docker run -p 8321:8321 -v ./gateway.toml:/etc/ponder/gateway.toml:ro ponder`.
# The settings must have keys: inside a container the gateway listens on all addresses.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/ponder \
    && /opt/ponder/bin/pip install --no-cache-dir --no-compile ".[gateway]"

FROM python:3.13-slim
# Code verifiers run what models write, inside bubblewrap or not at all. No version: Debian keeps only the newest.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/ponder ponder
COPY --from=build /opt/ponder /opt/ponder
ENV PATH=/opt/ponder/bin:$PATH PYTHONUNBUFFERED=1
# By number, so that a cluster can see that it is not root.
USER 10001
WORKDIR /var/lib/ponder
EXPOSE 8321
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8321/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["ponder", "serve"]
CMD ["/etc/ponder/gateway.toml", "--host", "0.0.0.0"]
