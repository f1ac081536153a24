# One bank. docker-compose.yml says how several become one; docs/DOCKER.md says how to use it.

FROM python:3.13-slim AS build
RUN python -m venv /venv
COPY requirements.txt .
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM python:3.13-slim
# A volume that is made from this image takes over the owner of /dados.
RUN useradd --system --uid 10001 --home-dir /dados banco && install -d -o banco -g banco /dados
COPY --from=build /venv /venv
WORKDIR /banco
COPY api.py ./
COPY bank bank
COPY locks locks
COPY replication replication

# HOST alone is refused: whoever starts the container says ALLOW_ANONYMOUS=1.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=5000 DATA_DIR=/dados
# Once as root: the image then holds the byte code of all that a bank imports, which its own user could not keep.
RUN python -c 'import api'
USER banco
VOLUME /dados
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5000/saude/vivo', timeout=4)"]
CMD ["python", "api.py"]
