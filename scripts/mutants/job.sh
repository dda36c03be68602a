#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the guest: runs what the file "cases" lists. Each line: the module from the folder
# "modules", a test program, a pattern of its results. What they say comes between
# "== case MODULE PROGRAM" and "== took".

cd /job || exit
while IFS=$'\t' read -r module program pattern; do
	echo "== case $module $program"
	start=$SECONDS
	cp "modules/$module.ko" "/lib/modules/$(uname -r)/updates/vinteg.ko"
	(cd selftests/drivers/block/vinteg && CHECK=$pattern "./$program" </dev/null 2>&1)
	echo "== took $((SECONDS - start)) s"
done <cases
