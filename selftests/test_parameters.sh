#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Module parameters, good and bad.

. "$(dirname "$0")/lib.sh"

PARAMETERS="num_devices backing_file cache_policy read_only logical_block_size nr_hw_queues
	hw_queue_depth"

devices()
{
	local paths

	mapfile -t paths < <(compgen -G '/sys/block/vinteg*')
	echo ${#paths[@]}
}

# nothing_left: as if vinteg had never been loaded.
nothing_left()
{
	settle
	[ ! -e /sys/module/vinteg ]
	[ ! -e "$CONTROL" ]
	fails compgen -G '/sys/block/vinteg*'
	fails compgen -G '/dev/vinteg*'
}

# catches: a parameter without a description, or described with another default than
# the one in force.
described_with_defaults()
{
	local name actual listed=0

	load
	modinfo -p "$MODULE" >"$SCRATCH/modinfo"
	for name in $PARAMETERS; do
		grep "^$name:.*(default: .*)" "$SCRATCH/modinfo" >"$SCRATCH/line"
		case $name in
		backing_file)	actual=$(attr backing_file); actual=${actual:-none} ;;
		cache_policy)	actual=$(policy) ;;
		read_only)	[ "$(attr read_only)" = 0 ]; actual=false ;;
		logical_block_size) actual=$(attr logical_block_size) ;;
		*)		actual=$(cat "/sys/module/vinteg/parameters/$name") ;;
		esac
		grep "(default: $actual)" "$SCRATCH/line"
		listed=$((listed + 1))
	done
	[ "$(grep -c '^[a-z_]*:' "$SCRATCH/modinfo")" = "$listed" ]
	unload
}

# catches: num_devices ignored, or devices that are not empty.
makes_devices()
{
	local n

	load num_devices=3
	[ "$(devices)" = 3 ]
	for n in 0 1 2; do
		[ "$(attr size vinteg$n)" = 0 ]
		[ -b /dev/vinteg$n ]
	done
	unload
	load num_devices=0
	[ "$(devices)" = 0 ]
	unload
}

# catches: values given to the wrong device, or not applied.
binds_files()
{
	load num_devices=4 "backing_file=$SCRATCH/fs/a.img,$SCRATCH/fs/b.img" \
		cache_policy=writeback,unsafe read_only=0,1 logical_block_size=512,4096
	[ "$(devices)" = 4 ]
	[ "$(attr backing_file) $(attr backing_file vinteg1)" = \
		"$SCRATCH/fs/a.img $SCRATCH/fs/b.img" ]
	[ "$(policy) $(policy vinteg1) $(policy vinteg2)" = "writeback unsafe none" ]
	[ "$(attr read_only) $(attr read_only vinteg1)" = "0 1" ]
	[ "$(attr ro) $(attr ro vinteg1)" = "0 1" ]
	[ "$(attr queue/logical_block_size) $(attr queue/logical_block_size vinteg1)" = \
		"512 4096" ]
	[ "$(attr size) $(attr size vinteg1) $(attr size vinteg2)" = "2048 2048 0" ]
	[ "$(attr backing_file vinteg2)" = "" ]
	unload
}

# catches: a file that gets no device because num_devices is smaller.
files_make_devices()
{
	load num_devices=1 "backing_file=$SCRATCH/fs/a.img,$SCRATCH/fs/b.img" cache_policy=unsafe,unsafe
	[ "$(devices)" = 2 ]
	[ "$(attr size vinteg1)" = 2048 ]
	unload
}

# catches: queue parameters that are only stored.
shapes_queues()
{
	load nr_hw_queues=1 hw_queue_depth=7
	[ "$(find "$SYS/mq" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
	[ "$(attr mq/0/nr_tags)" = 7 ]
	unload
	load
	[ "$(find "$SYS/mq" -mindepth 1 -maxdepth 1 | wc -l)" = "$(nproc)" ]
	[ "$(attr mq/0/nr_tags)" = 128 ]
	unload
}

# catches: options that work by insmod only.
works_from_modprobe_d()
{
	mkdir "$SCRATCH/modprobe.d"
	echo "options vinteg backing_file=$SCRATCH/fs/a.img,$SCRATCH/fs/b.img" \
		"cache_policy=writethrough,unsafe" >"$SCRATCH/modprobe.d/vinteg.conf"
	modprobe -C "$SCRATCH/modprobe.d" vinteg
	settle
	[ "$(policy) $(policy vinteg1)" = "writethrough unsafe" ]
	[ "$(attr size vinteg1)" = 2048 ]
	unload
}

# refused PATTERN PARAMETER=VALUE...: no load, one line in the log, with the pattern.
# catches: a wrong value that is ignored, or that leaves devices or files behind.
refused()
{
	local pattern=$1 lines
	shift

	log_mark refused
	fails load "$@"
	lines=$(log_lines refused | grep -v 'out-of-tree\|verification failed')
	echo "$lines"
	[ "${lines/$'\n'}" = "$lines" ]
	[[ $lines =~ $pattern ]]
	nothing_left
}

start modinfo
must without_udev
mkdir "$SCRATCH/fs"
must mount -t tmpfs -o size=8M vinteg-test "$SCRATCH/fs"
truncate -s 1M "$SCRATCH/fs/a.img" "$SCRATCH/fs/b.img"
a=$SCRATCH/fs/a.img
missing=$SCRATCH/fs/missing.img

check "modinfo -p lists every parameter with its default" described_with_defaults
check "num_devices devices are made, empty" makes_devices
check "files are bound with the values of their place in the list" binds_files
check "there are devices enough for all files" files_make_devices
check "nr_hw_queues and hw_queue_depth shape the queues" shapes_queues
if [ "$MODULE" = vinteg ]; then
	check "options in a modprobe.d file are taken" works_from_modprobe_d
else
	ktap_test_skip "options in a modprobe.d file are taken: modprobe knows no vinteg here"
fi
check "refused: an unknown policy" refused cache_policy.*bogus \
	"backing_file=$a" cache_policy=bogus
check "refused: a policy with an uppercase letter" refused cache_policy.*None \
	"backing_file=$a" cache_policy=None
check "refused: a missing file" refused "$missing" "backing_file=$missing"
check "refused: a missing file after a good one" refused "$missing" \
	"backing_file=$a,$missing" cache_policy=unsafe
touch "$SCRATCH/fs/with,comma"
check "refused: a name with a comma, which separates files" refused '"comma".*comma ends a name' \
	"backing_file=$SCRATCH/fs/with,comma" cache_policy=unsafe
check "refused: a name that is no absolute path" refused '"a.img" doesn' backing_file=a.img
check "refused: a missing file whose name would forge a line" refused 'two\\nvinteg: lines: no such file' \
	"backing_file=$SCRATCH/fs/two
vinteg: lines"
check "refused: a policy whose name would forge a line" refused 'two\\nvinteg: lines"$' \
	"backing_file=$a" "cache_policy=two
vinteg: lines"
check "refused: too many devices" refused num_devices=257 num_devices=257
check "refused: devices without end" refused num_devices=4294967295 num_devices=4294967295
check "refused: the same file twice" refused "$a" "backing_file=$a,$a" \
	cache_policy=unsafe,unsafe
check "refused: a directory" refused "$SCRATCH/fs" "backing_file=$SCRATCH/fs"
check "refused: more policies than files" refused cache_policy \
	"backing_file=$a" cache_policy=none,none
check "refused: a policy without a file" refused cache_policy cache_policy=none
check "refused: more read_only than files" refused read_only \
	"backing_file=$a" read_only=0,1
check "refused: more logical_block_size than files" refused logical_block_size \
	"backing_file=$a" logical_block_size=512,512
check "refused: a block size that is none" refused logical_block_size \
	"backing_file=$a" logical_block_size=1000
check "refused: a block size of 8192" refused logical_block_size \
	"backing_file=$a" logical_block_size=8192
check "refused: read_only that is no boolean" refused read_only \
	"backing_file=$a" read_only=maybe
check "refused: num_devices that is no number" refused num_devices num_devices=many
check "refused: negative num_devices" refused num_devices num_devices=-1
check "refused: no requests at all" refused hw_queue_depth hw_queue_depth=0
check "refused: too many requests" refused hw_queue_depth hw_queue_depth=1000000
check "refused: too many queues" refused nr_hw_queues nr_hw_queues=1000000
check "nobody has a file open any more" umount "$SCRATCH/fs"
finish
