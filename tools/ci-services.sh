#!/usr/bin/env bash
# Have PostgreSQL, MariaDB, a Redis server and a browser with its driver at hand for the integration tests.
#
# What listens is left alone. What is installed is started. What is missing is installed, where apt-get is
# there and we are root. Then each must answer, or this fails and says which one does not.
set -euo pipefail

listens() { # whether something accepts connections on a loopback port
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

wait_for() { # name, port: until it listens, at most 30 s
    local _
    for _ in $(seq 60); do
        if listens "$2"; then
            echo "$1 listens on 127.0.0.1:$2"
            return
        fi
        sleep 0.5
    done
    echo "$1 does not listen on 127.0.0.1:$2: start it, or run the integration tests without it" >&2
    return 1
}

installed() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

missing=()
listens 5432 || installed pg_ctlcluster || missing+=(postgresql)
listens 3306 || installed mariadbd || missing+=(mariadb-server)
installed redis-server || missing+=(redis-server)
installed chromedriver || missing+=(chromium chromium-driver fonts-dejavu-core)

fresh() { # whether a package was installed by this run: only then is its configuration ours to change
    [[ " ${missing[*]:-} " == *" $1 "* ]]
}

if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    else
        echo "not here, and not ours to install: ${missing[*]}" >&2
    fi
fi

if installed pg_ctlcluster; then
    read -r version cluster _ < <(pg_lsclusters --no-header)
    if fresh postgresql; then
        # A new server asks for a password on loopback; one that exists for these tests only needs none.
        hba="/etc/postgresql/$version/$cluster/pg_hba.conf"
        sed -i -E 's/^(host .*127\.0\.0\.1\/32 +)\S+$/\1trust/' "$hba"
        pg_ctlcluster --skip-systemctl-redirect "$version" "$cluster" stop || true
    fi
    listens 5432 || pg_ctlcluster --skip-systemctl-redirect "$version" "$cluster" start
fi

if installed mariadbd; then
    if ! listens 3306; then
        install -d -o mysql -g mysql /run/mysqld
        start-stop-daemon --start --oknodo --background --exec /usr/sbin/mariadbd -- --user=mysql
        wait_for MariaDB 3306
    fi
    if fresh mariadb-server; then
        # A new server lets root in over its socket only; the tests come over loopback.
        mariadb --execute "ALTER USER root@localhost IDENTIFIED BY ''"
    fi
fi

wait_for PostgreSQL 5432
wait_for MariaDB 3306
