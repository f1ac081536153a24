#!/bin/sh
# Starts one broker of docker-compose.cluster.yml, as root, with the configuration and the secret that all three share.
# Both are copied: mounted files keep the owner and the mode that they have on the host.
set -eu

cp /deploy/cluster.conf /etc/rabbitmq/conf.d/90-cluster.conf
chmod 644 /etc/rabbitmq/conf.d/90-cluster.conf

# A file, since RABBITMQ_ERLANG_COOKIE is deprecated; and one that is its owner's alone, or the broker refuses it.
cookie=/var/lib/rabbitmq/.erlang.cookie
rm -f "$cookie"
(umask 377 && printf %s "$CLUSTER_COOKIE" >"$cookie")
chown rabbitmq:rabbitmq "$cookie"

exec docker-entrypoint.sh rabbitmq-server
