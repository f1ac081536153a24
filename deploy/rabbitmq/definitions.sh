#!/bin/sh
# Prints what brokers must know of the bank, for `rabbitmqctl import_definitions`: the log's exchange and stream, the
# exchange of presence, and a user for each bank whose password is in the environment: BANCO_1_PASS to BANCO_9_PASS.
#
# These users may declare, delete and bind nothing of the log's: a bank publishes to its exchange, reads its stream, and
# has a queue of its own for presence, whose name the broker chooses. docs/SECURITY.md says what that leaves.
set -eu

refuse() {
  echo "definitions.sh: $1" >&2
  exit 1
}

users='' permissions='' comma=''
for number in 1 2 3 4 5 6 7 8 9; do
  eval "password=\${BANCO_${number}_PASS:-}"
  case $password in
    '') continue ;;  # no such bank: no such user
    *[!A-Za-z0-9_-]*) refuse "BANCO_${number}_PASS stands in a URL: letters, digits, _ and - only" ;;
  esac
  users="$users$comma
    {\"name\": \"banco-$number\", \"password\": \"$password\", \"tags\": \"\"}"
  permissions="$permissions$comma
    {
      \"user\": \"banco-$number\", \"vhost\": \"/\",
      \"configure\": \"^amq\\\\.gen-.*$\",
      \"write\": \"^(banco\\\\.operacoes(\\\\.presenca)?|amq\\\\.gen-.*)$\",
      \"read\": \"^(banco\\\\.livro|banco\\\\.operacoes\\\\.presenca|amq\\\\.gen-.*)$\"
    }"
  comma=,
done
[ -n "$users" ] || refuse 'no BANCO_1_PASS to BANCO_9_PASS is set'

cat <<END
{
  "vhosts": [{"name": "/"}],
  "users": [$users
  ],
  "permissions": [$permissions
  ],
  "exchanges": [
    {
      "name": "banco.operacoes", "vhost": "/", "type": "fanout",
      "durable": true, "auto_delete": false, "internal": false, "arguments": {}
    },
    {
      "name": "banco.operacoes.presenca", "vhost": "/", "type": "fanout",
      "durable": true, "auto_delete": false, "internal": false, "arguments": {}
    }
  ],
  "queues": [
    {
      "name": "banco.livro", "vhost": "/", "durable": true, "auto_delete": false,
      "arguments": {"x-queue-type": "stream"}
    }
  ],
  "bindings": [
    {
      "source": "banco.operacoes", "vhost": "/", "destination": "banco.livro", "destination_type": "queue",
      "routing_key": "", "arguments": {}
    }
  ]
}
END
