#!/bin/sh
# Healthy: clients can reach this broker now, and once, all BROKERS have seen each other run and know the bank.
# A stream keeps for ever the number of replicas that it was declared with, so it is not declared before the last broker
# is up, and no bank comes before. Not as root: a check that came before the broker would make the brokers' secret, and
# the broker could not read it.
set -eu

ctl() {
  gosu rabbitmq rabbitmqctl -q "$@"
}

if [ ! -e /tmp/complete ]; then
  count=0
  for broker in $BROKERS; do
    ctl -n "rabbit@$broker" await_startup --timeout 10
    count=$((count + 1))
  done
  ctl await_online_nodes "$count" --timeout 10
  sh /deploy/definitions.sh | ctl import_definitions
  touch /tmp/complete
fi
exec gosu rabbitmq rabbitmq-diagnostics -q check_port_connectivity
