#!/bin/sh
# Runs the Redis of one instance. `start.sh` serves, `start.sh ready` asks whether it serves.
#
# Nothing is evicted and every second is on disk: the queue's messages are in it. Losing it all the same loses no task, since tasks are in
# PostgreSQL. The password goes through a file, so that no list of processes shows it.
set -eu
password=$(cat "$CREDENTIALS/password")

if [ "${1:-serve}" = ready ]; then
	REDISCLI_AUTH=$password
	export REDISCLI_AUTH
	[ "$(redis-cli -h 127.0.0.1 -p 6379 ping)" = PONG ]
	exit
fi

umask 077
mkdir -p "$DATA"
cat >/tmp/redis.conf <<CONF
port 6379
dir $DATA
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
maxmemory ${MAX_MEMORY:-0}
requirepass $password
CONF
exec redis-server /tmp/redis.conf
