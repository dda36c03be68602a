/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whom the work of a worker is charged to.
 */
#ifndef VINTEG_CHARGE_H
#define VINTEG_CHARGE_H

#include <linux/types.h>

struct cgroup_subsys_state;
struct mem_cgroup;
struct request;

/**
 * struct vinteg_charge - for whom a worker works
 * @io: I/O is charged
 * @memory: the group that pages are charged to, or NULL
 * @outer: the one before
 */
struct vinteg_charge {
	bool io;
	struct cgroup_subsys_state *memory;
	struct mem_cgroup *outer;
};

void vinteg_charge_begin(struct vinteg_charge *charge, struct request *rq,
			 bool memory);
bool vinteg_charge_spare(struct vinteg_charge *charge);
void vinteg_charge_end(struct vinteg_charge *charge);

#endif /* VINTEG_CHARGE_H */
