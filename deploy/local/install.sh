#!/bin/sh
# Installs what building and running Sluice needs besides Go. Does nothing when all of it is there.
set -eu

# What builds sluice, what sluice-local runs, what the first upload by curl uses, what tests the page and the
# completion in shells, and what makes hosts of one machine.
packages='gcc pkg-config libvips-dev
	postgresql clamav-daemon clamav-freshclam nginx libnginx-mod-http-js prometheus
	curl jq ca-certificates
	chromium nodejs zsh fish
	iproute2 nftables'

policy=/usr/sbin/policy-rc.d

main() {
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		elsewhere
		return
	fi
	# shellcheck disable=SC2086 # A list of words.
	present=$(dpkg-query -W -f '${db:Status-Status}/${Package}\n' $packages 2>/dev/null || true)
	# Node.js from elsewhere brings its own npm, which Debian's would conflict with.
	command -v npm >/dev/null || packages="$packages npm"
	missing=''
	for package in $packages; do
		echo "$present" | grep -qx "installed/$package" || missing="$missing $package"
	done
	if [ -z "$missing" ]; then
		return
	fi
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null; then
			echo "These packages are missing and there is no sudo. As root: apt-get install$missing" >&2
			exit 1
		fi
		echo "Installing with sudo:$missing"
		exec sudo "$0"
	fi
	echo "Installing:$missing"
	keep_services_down
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
	apt-get update -qq
	# shellcheck disable=SC2086 # A list of words.
	apt-get install -y -qq --no-install-recommends $missing
}

# Debian starts a service as soon as it is installed, unless this program forbids it. sluice-local runs its own instances,
# and the system's would only take memory, and port 80. One that the administrator has put there is left alone.
keep_services_down() {
	if [ -e "$policy" ]; then
		return
	fi
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

# On other systems the programs count, wherever they come from.
elsewhere() {
	missing=''
	for program in cc pkg-config clamd freshclam nginx curl jq chromium node npm zsh fish ip nft; do
		command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing="$missing
  $program"
	done
	pkg-config --exists vips 2>/dev/null || missing="$missing
  libvips 8.14 or later with its headers"
	command -v initdb >/dev/null || missing="$missing
  PostgreSQL 15 or later: initdb and postgres on the PATH"
	find /usr/lib/nginx/modules /usr/lib64/nginx/modules /etc/nginx/modules \
		-name ngx_http_js_module.so 2>/dev/null | grep -q . || missing="$missing
  nginx's JavaScript module: ngx_http_js_module.so in /usr/lib/nginx/modules"
	if [ -n "$missing" ]; then
		echo "This system has no apt. Sluice on one machine needs, and these are missing:$missing" >&2
		exit 1
	fi
}

main
