#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests. Arguments go to ctest: bash tests/run.sh -R lstm
# As the first argument, another build of the unit tests, in its own folder:
#   --sanitize   with AddressSanitizer and UndefinedBehaviorSanitizer, by Clang 14: several times quicker to build than by GCC
#   --clang      with Clang 14
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../.ci/build.sh"

folder=build target=all options=() tests=()
case ${1-} in
--sanitize)
  folder=build-asan target=unroll_tests tests=(-L unit)
  # Portable: quicker to build, and SIMD registers of another width are tried.
  options=(-DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++-14 -DUNROLL_SANITIZE=address,undefined -DUNROLL_PORTABLE=ON)
  packages+=(clang-14 libclang-rt-14-dev)
  shift
  ;;
--clang)
  folder=build-clang target=unroll_tests tests=(-L unit)
  options=(-DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O1 -DCMAKE_CXX_COMPILER=clang++-14) # -O1: quick to build
  packages+=(clang-14)
  shift
  ;;
esac

install_packages "${packages[@]}"
configure "$folder" "${options[@]}"
compile "$folder" "$target"
exec ctest --test-dir "$root/$folder" --output-on-failure --no-tests=error -j "$(nproc)" "${tests[@]}" "$@"
