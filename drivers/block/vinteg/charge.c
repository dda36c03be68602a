// SPDX-License-Identifier: GPL-2.0
/*
 * Whom the work of a worker is charged to: I/O on the lower disk, and pages
 * that the file gets in the page cache, count for the control group of who
 * sent the request, not for the root as whatever else kernel threads do.
 */
#include <linux/cgroup.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>

#include "charge.h"
#include "vinteg.h"

#ifdef CONFIG_MEMCG
/*
 * A worker may not wait for I/O, so it can hardly make room, and who has sent
 * the request would be killed for it.  At its limit, therefore, a group is not
 * charged.
 */
static bool vinteg_has_room(struct mem_cgroup *memcg, unsigned long pages)
{
	for (; memcg; memcg = parent_mem_cgroup(memcg)) {
		unsigned long limit = min(READ_ONCE(memcg->memory.max),
					  READ_ONCE(memcg->memory.high));

		/* Others may be here at the same time. */
		if (page_counter_read(&memcg->memory) + pages >
		    limit - limit / 8)
			return false;
	}
	return true;
}

static struct cgroup_subsys_state *
vinteg_memory_css(struct cgroup_subsys_state *css, unsigned long pages)
{
	struct cgroup_subsys_state *memory =
		cgroup_get_e_css(css->cgroup, &memory_cgrp_subsys);

	if (vinteg_has_room(mem_cgroup_from_css(memory), pages))
		return memory;
	css_put(memory);
	return NULL;
}
#else
static struct cgroup_subsys_state *
vinteg_memory_css(struct cgroup_subsys_state *css, unsigned long pages)
{
	return NULL;
}
#endif

/**
 * vinteg_charge_begin() - work for the control group of a request from now on
 * @charge: what vinteg_charge_end() has to undo
 * @rq: the request; may complete before that
 * @memory: charge pages as well
 *
 * Context: a worker of the device.
 */
void vinteg_charge_begin(struct vinteg_charge *charge, struct request *rq,
			 bool memory)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(rq->bio);

	*charge = (struct vinteg_charge) { };
	if (!vinteg_is_charged(rq))
		return;

	kthread_associate_blkcg(css);
	charge->io = true;
	/* A group whose memory is being swapped out has none for that. */
	if (!memory || rq->cmd_flags & REQ_SWAP)
		return;
	charge->memory = vinteg_memory_css(css,
					   DIV_ROUND_UP(blk_rq_bytes(rq), PAGE_SIZE));
	if (charge->memory)
		charge->outer = set_active_memcg(mem_cgroup_from_css(charge->memory));
}

/**
 * vinteg_charge_spare() - charge pages to the root
 * @charge: set up by vinteg_charge_begin()
 *
 * For a group that has reached its limit all the same.  Data that was accepted
 * must not be lost for that.
 *
 * Context: as vinteg_charge_begin().
 * Return: true if this makes a difference.
 */
bool vinteg_charge_spare(struct vinteg_charge *charge)
{
	if (!charge->memory)
		return false;
	set_active_memcg(charge->outer);
	css_put(charge->memory);
	charge->memory = NULL;
	return true;
}

/**
 * vinteg_charge_end() - undo vinteg_charge_begin()
 * @charge: the same as there
 *
 * Context: as vinteg_charge_begin().
 */
void vinteg_charge_end(struct vinteg_charge *charge)
{
	vinteg_charge_spare(charge);
	if (charge->io)
		kthread_associate_blkcg(NULL);
}
