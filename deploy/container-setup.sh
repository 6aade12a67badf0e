#!/bin/sh
# Runs while the image is built: a volume on /data belongs to BentoML's user from the start.
set -eu
install -d -m 0700 -o 1034 -g 1034 /data
