# Which swarm the scripts beside this file speak to; they read it. `docker` is the engine that builds, `swarm` a
# manager.

stack=poolrace
image=${POOLRACE_IMAGE:-poolrace:0.1.0}
redis_image=${REDIS_IMAGE:-redis:8}
secrets=${POOLRACE_SECRETS_DIR:-.poolrace/swarm}
manager=
engines=${SWARM_ENGINES:-}
broker_label=poolrace.broker

say() { printf 'swarm: %s\n' "$*" >&2; }
die() { say "$*"; exit 3; }
swarm() { docker ${manager:+-H "$manager"} "$@"; }

# find_swarm: this engine's; else one that LOCAL_SWARM, a command, keeps on this machine, an engine for each host.
find_swarm() {
  command -v docker >/dev/null || die "there is no docker command here. Install Docker, 20.10 or newer."
  state=$(docker info --format '{{.Swarm.ControlAvailable}} {{.Swarm.LocalNodeState}}' 2>/dev/null) || state=
  case $state in
    true*) return ;;
    *" active")
      die "this engine is a worker of its swarm. Run this on a manager, or name one: DOCKER_HOST=ssh://HOST." ;;
    "") die "no Docker engine answers here. Start it, or name another: DOCKER_HOST=ssh://HOST." ;;
  esac
  [ -x "${LOCAL_SWARM:-}" ] || die "this engine is in no swarm. Make one with \`docker swarm init\`, and run what it" \
    "prints on the other hosts; or name a manager: DOCKER_HOST=ssh://HOST."
  [ "$(id -u)" = 0 ] || die "this engine is in no swarm, and to make one on this machine takes root. Be root, or make" \
    "one with \`docker swarm init\`."
  engines=
  for node in $(seq -f node%.0f "${SWARM_HOSTS:-3}"); do
    engines="$engines $("$LOCAL_SWARM" env "$node" | sed 's/.*=//')"
  done
  manager=$(set -- $engines && echo "$1")
}

# here: how a user says the same, e.g. on a line that is printed.
here() { printf '%s' "${manager:+DOCKER_HOST=$manager }$*"; }
