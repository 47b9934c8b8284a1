# Sourced by tests/run.sh and examples/run.sh: installs the missing packages, configures and builds.
# CMAKE_ARGS in the environment goes to cmake, for instance CMAKE_ARGS=-DUNROLL_PORTABLE=ON.

export PATH="$PATH:/usr/sbin:/sbin" # dpkg wants the sbin folders, which a plain user's PATH lacks
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

packages=(g++ cmake ninja-build libxtensor-dev libxtensor-blas-dev libxsimd-dev libopenblas-dev libdnnl-dev
  nlohmann-json3-dev doctest-dev libcli11-dev gnuplot-nox)

# install_packages NAME...: with apt-get those that are missing; touches nothing when all are there.
install_packages() {
  local missing=() as_root=() package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0

  echo "Installing ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "PATH=$PATH"
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120)
  "${apt[@]}" update </dev/null || true # one that fails in part may still do
  if ! "${apt[@]}" install --no-install-recommends -y "${missing[@]}" </dev/null >/dev/null; then
    echo "unroll needs these packages of Debian 12 or later, which could not be installed: ${missing[*]}" >&2
    exit 1
  fi
}

# As many jobs as there are cores, but no more than one per 2 GB: a heavy template file takes more than 1.
parallel_jobs() {
  local kib limit jobs cores
  kib=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo)
  limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max) # a container's own, in bytes
  if [ "$limit" != max ] && [ $((limit / 1024)) -lt "$kib" ]; then kib=$((limit / 1024)); fi
  jobs=$((kib / 2000000)) cores=$(nproc)
  echo $((jobs < 1 ? 1 : jobs < cores ? jobs : cores))
}

# configure FOLDER ARGUMENT...: the build folder stands in the checkout's root.
configure() {
  export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja} # for a new folder; one that is there keeps its own
  # CMAKE_ARGS is unquoted: it is a list of words
  cmake -S "$root" -B "$root/$1" "${@:2}" ${CMAKE_ARGS-}
}

# compile FOLDER TARGET
compile() { cmake --build "$root/$1" --target "$2" --parallel "$(parallel_jobs)"; }
