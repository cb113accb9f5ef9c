#!/bin/sh
# Runs the PostgreSQL of one instance. `start.sh` serves, `start.sh ready` asks whether it serves, `start.sh stop` ends it.
#
# A fresh volume gets three roles: postgres for people, englog_owner which owns the tables and migrates them, and englog (or what the
# credentials name) which the service runs as and which may change rows but no tables. The cluster is made beside its place and moved there when it is complete:
# a pod that is killed meanwhile leaves nothing half done.
set -eu
PATH="$PATH:/usr/lib/postgresql/$MAJOR/bin"
export PATH

case "${1:-serve}" in
ready) exec pg_isready -q -h 127.0.0.1 -p 5432 -U postgres ;;
stop) exec pg_ctl -D "$DATA" -m fast -w -t 50 stop ;;
esac

# word refuses what could end a quoted string: credentials are made of letters, digits, '-' and '_'.
word() {
	value=$(cat "$CREDENTIALS/$1")
	case "$value" in *[!A-Za-z0-9_-]* | "") echo "$1 of the credentials must be letters, digits, '-' and '_'" >&2 && exit 1 ;; esac
	printf '%s' "$value"
}

if [ ! -s "$DATA/PG_VERSION" ]; then
	umask 077
	owner=$(word ownerPassword)
	user=$(word username)
	service=$(word password)
	word superuserPassword >/tmp/superuser
	rm -rf "$DATA.new"
	initdb -D "$DATA.new" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=scram-sha-256 --auth-host=scram-sha-256 --pwfile=/tmp/superuser
	rm /tmp/superuser
	echo "host all all all scram-sha-256" >>"$DATA.new/pg_hba.conf"
	postgres --single -D "$DATA.new" postgres >/dev/null <<-SQL
		CREATE ROLE englog_owner LOGIN PASSWORD '$owner';
		CREATE ROLE "$user" LOGIN PASSWORD '$service';
		CREATE DATABASE englog OWNER englog_owner;
	SQL
	postgres --single -D "$DATA.new" englog >/dev/null <<-SQL
		ALTER SCHEMA public OWNER TO englog_owner;
		GRANT USAGE ON SCHEMA public TO "$user";
		ALTER DEFAULT PRIVILEGES FOR ROLE englog_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "$user";
		ALTER DEFAULT PRIVILEGES FOR ROLE englog_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO "$user";
	SQL
	mv "$DATA.new" "$DATA"
fi

if [ "$(cat "$DATA/PG_VERSION")" != "$MAJOR" ]; then
	echo "the volume holds the files of PostgreSQL $(cat "$DATA/PG_VERSION"): set spec.database.managed.majorVersion to that" >&2
	exit 1
fi
exec postgres -D "$DATA" -c listen_addresses='*' -c port=5432 -c unix_socket_directories=/tmp -c max_connections="$MAX_CONNECTIONS" \
	-c password_encryption=scram-sha-256
