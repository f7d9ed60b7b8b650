# shellcheck shell=sh
# lib.sh - who runs what, and how it is stopped; read by the scripts beside it.

PATH=$PATH:/usr/sbin:/sbin:/usr/lib/postgresql/15/bin
export PATH

fail() {
	echo "$0: $*" >&2
	exit 1
}

# Sets pg_user, app_user and app_group, "" for the caller.  PostgreSQL refuses root, and
# what answers the network should not be root either.  Root gives PostgreSQL
# to postgres, and minuted to www-data: every Debian has it, nginx's workers
# are www-data too, so the socket's mode 0660 lets them in and nobody else, and
# it does not own the database's files.  A cluster that somebody else made in
# $1 stays theirs.
choose_users() {
	pg_user=
	app_user=
	app_group=
	[ "$(id -u)" -eq 0 ] || return 0
	pg_user=postgres
	app_user=www-data
	if [ -d "$1/postgres" ]; then
		pg_user=$(stat -c %U "$1/postgres")
		[ "$pg_user" = postgres ] || app_user=$pg_user
	fi
	# shellcheck disable=SC2034 # the scripts read it
	app_group=$(id -gn "$app_user")
}

# as USER COMMAND...: in this process (exec it in the background for its pid).
as() {
	as_user=$1
	shift
	if [ -z "$as_user" ]; then
		exec "$@"
	fi
	exec setpriv --reuid="$as_user" --regid="$(id -g "$as_user")" \
		--init-groups "$@"
}

# folder MODE USER GROUP PATH: makes it, and gives it away when root does.
folder() {
	mkdir -p "$4"
	if [ -n "$2" ]; then
		chown "$2:$3" "$4"
	fi
	chmod "$1" "$4"
}

# The command line of process $1; nothing once it has ended.
command_of() {
	tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || :
}

# Is process $1 alive, with $2 in its command line?
ours() {
	[ -n "$1" ] && command_of "$1" | grep -qF -- "$2"
}

# gone PID TENTHS: waits until it has ended; false when it has not.
gone() {
	gone_left=$2
	while [ -n "$(command_of "$1")" ]; do
		[ "$gone_left" -gt 0 ] || return 1
		gone_left=$((gone_left - 1))
		sleep 0.1
	done
}
