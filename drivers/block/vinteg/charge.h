/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whom the work of a worker is charged to.
 */
#ifndef VINTEG_CHARGE_H
#define VINTEG_CHARGE_H

#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>

struct mem_cgroup;

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

/**
 * vinteg_is_charged() - is a request charged to a control group?
 * @rq: the request
 *
 * Context: any.
 * Return: false for the root, which most requests are of, and which a kernel
 * thread is in anyway.
 */
static inline bool vinteg_is_charged(struct request *rq)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(rq->bio);

	return css && css != blkcg_root_css;
}

void vinteg_charge_begin(struct vinteg_charge *charge, struct request *rq,
			 bool memory);
bool vinteg_charge_spare(struct vinteg_charge *charge);
void vinteg_charge_end(struct vinteg_charge *charge);

#endif /* VINTEG_CHARGE_H */
