// SPDX-License-Identifier: GPL-2.0
/*
 * The fast path: trying the lower file system in the context of whoever
 * submits a request, which saves waking up a worker.
 *
 * A submitter may be anybody in the middle of anything, so this is done with
 * IOCB_NOWAIT only, and only where all of this holds:
 *
 * - It is a user's task that is neither in a transaction of a file system
 *   above, nor frees memory, nor has come here already on a disk above.  That
 *   is what current->journal_info and the PF_MEMALLOC flags tell.
 * - The request moves data.  Metadata is read and written under locks that
 *   the lower file system, if it is of the same type, has its own of.
 * - Neither the submitter's file size limit nor its control group would be
 *   taken for those of the request.
 *
 * IOCB_NOWAIT does not keep a file system from waiting: for its own metadata,
 * or for a tag of the lower disk.  So what is submitted in here must be on its
 * way at once, and not at the end of the submission that this is a part of:
 * current->bio_list is put aside.  And the submitter must not sit on what
 * others, or it itself in here, may wait for: tags and bios in its plug, which
 * is not flushed when it sleeps in here, or requests that follow this one.
 */
#include <linux/blk-cgroup.h>
#include <linux/cgroup.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "submitter.h"
#include "vinteg.h"

/* Of the cached requests all are for one queue. */
static bool vinteg_plug_holds_others(struct blk_plug *plug,
				     struct request_queue *q,
				     VINTEG_RQ_LIST *list)
{
	struct request *cached;

	if (!plug)
		return false;
	if (!list_empty(&plug->cb_list))
		return true;
	if (list != &plug->mq_list && vinteg_rq_list_peek(&plug->mq_list))
		return true;
	cached = vinteg_plug_cached(plug);
	return cached && cached->q != q;
}

#ifdef CONFIG_BLK_CGROUP
static bool vinteg_is_submitters_cgroup(struct request *rq)
{
	struct cgroup_subsys_state *css = bio_blkcg_css(rq->bio);
	bool same;

	rcu_read_lock();
	same = !css || css == task_css(current, io_cgrp_id);
	rcu_read_unlock();
	return same;
}
#else
static bool vinteg_is_submitters_cgroup(struct request *rq)
{
	return true;
}
#endif

/*
 * Metadata that a file system above keeps in the page cache of its disk: not
 * all of it is read with REQ_META.
 */
static bool vinteg_is_buffer_cache(struct request *rq)
{
	struct address_space *mapping;
	bool ret = false;

	rcu_read_lock();
	mapping = folio_mapping(page_folio(bio_page(rq->bio)));
	/* Inodes are freed after a grace period. */
	if (mapping && mapping->host)
		ret = S_ISBLK(READ_ONCE(mapping->host->i_mode));
	rcu_read_unlock();
	return ret;
}

/* Is it a request for the fast path? */
static bool vinteg_may_try(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);
	loff_t pos;

	if (rq->cmd_flags & REQ_META)
		return false;
	/* A clone of request-based dm, which sends it on below RCU. */
	if (rq->end_io)
		return false;

	switch (cmd->plan.call) {
	case VINTEG_CALL_READ:
		if (vinteg_is_buffer_cache(rq))
			return false;
		/* What the ones before it are to read is not there yet. */
		if (cmd->follows && vinteg_batcher_busy(&dev->reader))
			return false;
		/* A worker has to read it: a try would fail, and is not free. */
		pos = vinteg_request_pos(rq);
		if (!cmd->plan.direct &&
		    !filemap_range_has_page(dev->backing->mapping, pos, pos))
			return false;
		break;
	case VINTEG_CALL_WRITE:
		if (!cmd->plan.direct ||
		    rlimit(RLIMIT_FSIZE) != RLIM_INFINITY)
			return false;
		/*
		 * Where such a write ends on a worker anyway, more than one at
		 * a time are better left to one: it gets several at once.
		 */
		if (dev->backing->late_completion &&
		    !vinteg_range_idle(&dev->ranges))
			return false;
		break;
	default:
		return false;
	}
	return vinteg_is_submitters_cgroup(rq);
}

/**
 * vinteg_submitter_begin() - be called with one or several requests
 * @sub: to be given to vinteg_submitter_end()
 * @list: NULL for one request; or those that follow, whose I/O is collected
 *
 * Context: queue_rq or queue_rqs of a queue that may block.
 */
void vinteg_submitter_begin(struct vinteg_submitter *sub, VINTEG_RQ_LIST *list)
{
	sub->list = list;
	sub->entered = false;
}

/**
 * vinteg_submitter_enter() - prepare the submitter for the lower file system
 * @sub: what is put aside
 * @cmd: the command that is to be tried, with its plan made
 *
 * Context: between vinteg_submitter_begin() and vinteg_submitter_end().
 * Return: true if vinteg_data_try() may be called with @cmd.
 */
bool vinteg_submitter_enter(struct vinteg_submitter *sub,
			    struct vinteg_cmd *cmd)
{
	const unsigned int not_with = PF_KTHREAD | PF_EXITING | PF_MEMALLOC |
		PF_MEMALLOC_NOIO | PF_MEMALLOC_NOFS;
	struct request_queue *q = blk_mq_rq_from_pdu(cmd)->q;
	struct vinteg *dev = q->queuedata;

	if (!dev->backing->can_nowait || !vinteg_may_try(cmd))
		return false;
	if (sub->entered)
		return true;
	if (current->flags & not_with || current->journal_info ||
	    vinteg_plug_holds_others(current->plug, q, sub->list))
		return false;

	sub->entered = true;
	sub->memflags = memalloc_noio_save();
	sub->bio_list = current->bio_list;
	current->bio_list = NULL;
	/*
	 * The list of the one outside is just being emptied.  Its timestamp
	 * is not for later, and the scheduler looks for it in current->plug.
	 */
	blk_plug_invalidate_ts();
	sub->outer_plug = current->plug;
	current->plug = NULL;
	if (sub->list)
		blk_start_plug(&sub->plug);
	return true;
}

/**
 * vinteg_submitter_end() - undo what vinteg_submitter_enter() may have done
 * @sub: the same as there
 *
 * Context: as vinteg_submitter_begin().
 */
void vinteg_submitter_end(struct vinteg_submitter *sub)
{
	if (!sub->entered)
		return;
	if (sub->list)
		blk_finish_plug(&sub->plug);
	current->plug = sub->outer_plug;
	current->bio_list = sub->bio_list;
	memalloc_noio_restore(sub->memflags);
}
