/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A request on its way: queued, issued to the file, completed; and the syncs.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vinteg

#if !defined(VINTEG_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VINTEG_TRACE_H

#include <linux/blk-mq.h>
#include <linux/tracepoint.h>

#include "compat.h"
#include "policy.h"

/* For tools that only have the format to go by. */
TRACE_DEFINE_ENUM(VINTEG_CALL_READ);
TRACE_DEFINE_ENUM(VINTEG_CALL_WRITE);
TRACE_DEFINE_ENUM(VINTEG_CALL_DISCARD);
TRACE_DEFINE_ENUM(VINTEG_CALL_ZERO);
TRACE_DEFINE_ENUM(VINTEG_CALL_SYNC);

#define VINTEG_OP_LEN	16	/* of "WRITE_ZEROES", with room */

#define vinteg_call_name(call)					\
	__print_symbolic(call,					\
		{ VINTEG_CALL_READ,	"read" },		\
		{ VINTEG_CALL_WRITE,	"write" },		\
		{ VINTEG_CALL_DISCARD,	"fallocate" },		\
		{ VINTEG_CALL_ZERO,	"fallocate" },		\
		{ VINTEG_CALL_SYNC,	"sync" })

TRACE_EVENT(vinteg_queue,
	    TP_PROTO(struct request *rq, const struct vinteg_policy *policy),
	    TP_ARGS(rq, policy),
	    TP_STRUCT__entry(__array(char, disk, DISK_NAME_LEN)
			     __array(char, op, VINTEG_OP_LEN)
			     __field(unsigned long long, sector)
			     __field(unsigned int, bytes)
			     __field(bool, fua)
			     __string(policy, policy->name)
	    ),
	    TP_fast_assign(memcpy(__entry->disk, rq->q->disk->disk_name, DISK_NAME_LEN);
			   strscpy(__entry->op, blk_op_str(req_op(rq)), VINTEG_OP_LEN);
			   __entry->sector = blk_rq_bytes(rq) ? blk_rq_pos(rq) : 0;
			   __entry->bytes = blk_rq_bytes(rq);
			   __entry->fua = !!(rq->cmd_flags & REQ_FUA);
			   vinteg_assign_str(policy, policy->name);
	    ),
	    TP_printk("disk=%s op=%s sector=%llu bytes=%u fua=%d policy=%s",
		      __entry->disk, __entry->op, __entry->sector,
		      __entry->bytes, __entry->fua, __get_str(policy))
);

TRACE_EVENT(vinteg_issue,
	    TP_PROTO(struct request *rq, enum vinteg_call call, loff_t pos,
		     loff_t len, bool direct, bool durable, bool native),
	    TP_ARGS(rq, call, pos, len, direct, durable, native),
	    TP_STRUCT__entry(__array(char, disk, DISK_NAME_LEN)
			     __field(unsigned int, call)
			     __field(loff_t, pos)
			     __field(loff_t, len)
			     __field(bool, direct)
			     __field(unsigned int, dsync)
	    ),
	    TP_fast_assign(memcpy(__entry->disk, rq->q->disk->disk_name, DISK_NAME_LEN);
			   __entry->call = call;
			   __entry->pos = pos;
			   __entry->len = len;
			   __entry->direct = direct;
			   __entry->dsync = native ? 1 : durable ? 2 : 0;
	    ),
	    TP_printk("disk=%s call=%s pos=%lld len=%lld direct=%d dsync=%s",
		      __entry->disk, vinteg_call_name(__entry->call),
		      __entry->pos, __entry->len, __entry->direct,
		      __print_symbolic(__entry->dsync, { 0, "none" },
				       { 1, "native" }, { 2, "sync" }))
);

TRACE_EVENT(vinteg_sync,
	    TP_PROTO(struct gendisk *disk, loff_t start, loff_t end,
		     unsigned int waiters, int error),
	    TP_ARGS(disk, start, end, waiters, error),
	    TP_STRUCT__entry(__array(char, disk, DISK_NAME_LEN)
			     __field(loff_t, start)
			     __field(loff_t, end)
			     __field(unsigned int, waiters)
			     __field(int, error)
	    ),
	    TP_fast_assign(memcpy(__entry->disk, disk->disk_name, DISK_NAME_LEN);
			   __entry->start = start;
			   __entry->end = end;
			   __entry->waiters = waiters;
			   __entry->error = error;
	    ),
	    TP_printk("disk=%s start=%lld end=%lld waiters=%u error=%d",
		      __entry->disk, __entry->start, __entry->end,
		      __entry->waiters, __entry->error)
);

TRACE_EVENT(vinteg_complete,
	    TP_PROTO(struct request *rq, int error),
	    TP_ARGS(rq, error),
	    TP_STRUCT__entry(__array(char, disk, DISK_NAME_LEN)
			     __array(char, op, VINTEG_OP_LEN)
			     __field(unsigned long long, sector)
			     __field(unsigned int, bytes)
			     __field(int, error)
	    ),
	    TP_fast_assign(memcpy(__entry->disk, rq->q->disk->disk_name, DISK_NAME_LEN);
			   strscpy(__entry->op, blk_op_str(req_op(rq)), VINTEG_OP_LEN);
			   __entry->sector = blk_rq_bytes(rq) ? blk_rq_pos(rq) : 0;
			   __entry->bytes = blk_rq_bytes(rq);
			   __entry->error = error;
	    ),
	    TP_printk("disk=%s op=%s sector=%llu bytes=%u error=%d",
		      __entry->disk, __entry->op, __entry->sector,
		      __entry->bytes, __entry->error)
);

#endif /* VINTEG_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
