# One image for the web application, the worker and the demo LMS; the command says which (docker-compose.yml).
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
RUN python -m venv /app/.venv
COPY requirements.lock ./
RUN .venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY lti_tool ./lti_tool
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# Letters of certificates beyond Latin, Greek, Cyrillic and Hebrew, which the typesetter brings along.
RUN apt-get update && apt-get install --yes --no-install-recommends fonts-noto-core fonts-noto-cjk \
    && rm -rf /var/lib/apt/lists/*
# The keys and the demo's data are volumes; a new volume takes over the owner of the folder it covers.
RUN useradd --system --uid 10001 tool && install -d -o tool -g tool -m 0700 /keys /data
WORKDIR /app
COPY --from=build /app/.venv ./.venv
COPY config ./config
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER tool
EXPOSE 8000
CMD ["lti-tool", "serve", "--host", "0.0.0.0"]
