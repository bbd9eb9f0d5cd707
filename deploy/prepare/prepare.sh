#!/bin/sh
# In /data: the simulated walkway, where somebody runs now and then; motion's model of it; the
# camera's film; settings for all of them.  What is there stays.
set -eu
test -e walkway || vadistill data walkway walkway --seed 8 --frames 240 --anomalies runner
test -e walkway.vad || vadistill fit motion walkway --out walkway.vad
test -e film.mp4 || python /prepare/film.py walkway/test film.mp4
test -e vadistill.toml || install -m 600 /prepare/vadistill.toml vadistill.toml
