#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# page.sh DIR: makes plots (SVG and PNG) of DIR/medians.tsv, and a page of them and of
# DIR/report.txt that needs nothing else: index.html.

. "$(dirname "$0")/../lib.sh"

[ $# = 1 ] || die "usage: page.sh DIR"
dir=$1
need gnuplot-nox
tmp=$(mktemp -d "$CACHE/page.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# plot FILE: with the commands on standard input, in both formats.
plot()
{
	cat >"$tmp/commands"
	{
		echo "set terminal svg size 1080,340 font 'sans,11' background 'white'"
		echo "set output '$dir/$1.svg'"
		cat "$tmp/commands"
		echo "unset output"
		echo "set terminal pngcairo size 1080,340 font 'sans,9' background 'white'"
		echo "set output '$dir/$1.png'"
		cat "$tmp/commands"
	} | gnuplot 2>"$tmp/gnuplot" || { cat "$tmp/gnuplot" >&2; die "gnuplot failed: $1"; }
}

# pick PLACE CELL KIND: "target column..." of one cell. PLACE as in the table.
pick()
{
	awk -F '\t' -v place="$1" -v cell="$2" -v kind="$3" '
		$1 "-" $2 "-" $3 "-" $4 == place && $5 == cell && $6 == kind {
			sub(/-.*/, "", $7)
			print $7 "\t" $8 "\t" $12
		}' "$dir/medians.tsv"
}

# throughput PLACE KIND: three panels, against the queue depth.
throughput()
{
	local op depth target file list
	echo "set multiplot layout 1,3"
	echo "set logscale x 2; set xlabel 'queue depth'; set ylabel 'thousands per second'"
	echo "set yrange [0:*]; set key bottom right; set grid; set xtics (1, 8, 32)"
	for op in randread randwrite fua; do
		list=
		for target in vinteg loop raw; do
			file=$tmp/$1-$2-$op-$target
			for depth in 1 8 32; do
				pick "$1" "$op.qd$depth" "$2" | awk -F '\t' -v t=$target -v d=$depth \
					'$1 == t { print d, $2 / 1000 }'
			done >"$file"
			[ ! -s "$file" ] ||
				list="$list${list:+, }'$file' using 1:2 with linespoints lw 2 title '$target'"
		done
		if [ -n "$list" ]; then
			echo "set title '$op'; plot $list"
		fi
	done
	echo "unset multiplot"
}

# latency PLACE KIND: two panels, how many requests took how long.
latency()
{
	local cell target file list
	echo "set multiplot layout 1,3"
	echo "set logscale x; set xlabel 'microseconds'; set ylabel 'percent of requests'"
	echo "set yrange [0:100]; set key bottom right; set grid"
	for cell in randread.qd1 randread.qd32 fua.qd32; do
		list=
		for target in vinteg loop raw; do
			file=$tmp/$1-$2-$cell-$target
			pick "$1" "$cell" "$2" | awk -F '\t' -v t=$target '$1 == t {
				n = split($3, part, ",")
				for (i = 1; i <= n; i++) {
					split(part[i], p, "=")
					if (p[2] > 0)
						print p[2], p[1]
				}
			}' >"$file"
			[ ! -s "$file" ] ||
				list="$list${list:+, }'$file' using 1:2 with lines lw 2 title '$target'"
		done
		if [ -n "$list" ]; then
			echo "set title '$cell'; plot $list"
		fi
	done
	echo "unset multiplot"
}

rm -f "$dir"/*.svg "$dir"/*.png
{
	cat <<-END
		<!DOCTYPE html>
		<html lang="en"><meta charset="utf-8"><title>vinteg: how fast</title>
		<style>body{font-family:sans-serif;max-width:1100px;margin:2em auto}
		pre{overflow-x:auto;font-size:11px}svg{max-width:100%;height:auto}</style>
		<h1>vinteg: how fast</h1>
	END
	while IFS=$'\t' read -r kernel clock disk fs kind; do
		place=$kernel-$clock-$disk-$fs
		echo "<h2>Linux $kernel, $clock time, disk $disk, $fs, $kind</h2>"
		for what in throughput latency; do
			$what "$place" "$kind" >"$tmp/script"
			grep -q 'plot ' "$tmp/script" || continue
			plot "$what-$place-$kind" <"$tmp/script"
			sed '/^<?xml/d; /^<!DOCTYPE/d; /^ "http/d' "$dir/$what-$place-$kind.svg"
		done
	done < <(cut -f 1-4,6 "$dir/medians.tsv" | grep -v '^[^	]*	cost	' | sort -u)
	echo "<h2>Figures</h2><pre>"
	sed 's/&/\&amp;/g; s/</\&lt;/g' "$dir/report.txt"
	echo "</pre></html>"
} >"$tmp/index.html"
mv "$tmp/index.html" "$dir/index.html"
