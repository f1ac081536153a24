#!/bin/sh
# Healthy: this broker has seen all three run, once, and clients can reach it now.
# A stream keeps for ever the number of replicas that it was declared with, so no bank may come before the third broker.
# Not as root, who may not read the brokers' secret before it is theirs.
set -eu

if [ ! -e /tmp/complete ]; then
  gosu rabbitmq rabbitmqctl -q await_online_nodes 3 --timeout 10
  touch /tmp/complete
fi
exec gosu rabbitmq rabbitmq-diagnostics -q check_port_connectivity
