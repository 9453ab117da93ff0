# shellcheck shell=sh
# The programs and libraries that the slug carries are found by every dyno.
packages=$HOME/.heroku/packages
triplet=$(uname -m)-linux-gnu
export PATH="$packages/usr/bin:$PATH:$packages/usr/sbin"
export LD_LIBRARY_PATH="$packages/usr/lib/$triplet${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
unset packages triplet
