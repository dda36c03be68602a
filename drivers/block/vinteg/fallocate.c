// SPDX-License-Identifier: GPL-2.0
/*
 * Deallocating and zeroing ranges of the backing file.
 */
#include <linux/blk-mq.h>
#include <linux/falloc.h>
#include <linux/uio.h>

#include "charge.h"
#include "trace.h"
#include "vinteg.h"

/* For files that can't zero a range by themselves. */
static int vinteg_data_write_zeroes(struct vinteg_cmd *cmd, loff_t pos,
				    loff_t len, struct vinteg_charge *charge)
{
	struct vinteg *dev = vinteg_of_request(blk_mq_rq_from_pdu(cmd));
	struct file *file = dev->backing->io;
	struct bio_vec bvec[16];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bvec); i++)
		bvec_set_page(&bvec[i], ZERO_PAGE(0), PAGE_SIZE, 0);
	if (!cmd->plan.direct)
		vinteg_backing_keep_stable(dev->backing);

	while (len) {
		struct kiocb iocb = {
			.ki_filp	= file,
			.ki_pos		= pos,
			.ki_flags	= cmd->plan.direct ? IOCB_DIRECT : 0,
		};
		struct iov_iter iter;
		ssize_t ret;

		iov_iter_bvec(&iter, ITER_SOURCE, bvec, ARRAY_SIZE(bvec),
			      min_t(loff_t, len, ARRAY_SIZE(bvec) * PAGE_SIZE));
		/* Truncated meanwhile: it must not grow again. */
		if (pos + iov_iter_count(&iter) >
		    vinteg_backing_size(dev->backing))
			return -EIO;
		vinteg_start_write(dev, &iocb);
		ret = file->f_op->write_iter(&iocb, &iter);
		vinteg_end_write(&iocb);
		if (ret == -ENOMEM && vinteg_charge_spare(charge))
			continue;
		if (ret <= 0)
			return ret ?: -EIO;
		pos += ret;
		len -= ret;
	}
	return 0;
}

/**
 * vinteg_data_fallocate() - discard or zero what a command is about
 * @cmd: the command
 *
 * Ends in vinteg_cmd_data_done().
 *
 * Context: as vinteg_data_start().
 */
void vinteg_data_fallocate(struct vinteg_cmd *cmd)
{
	struct request *rq = blk_mq_rq_from_pdu(cmd);
	struct vinteg *dev = vinteg_of_request(rq);
	bool zero = cmd->plan.call == VINTEG_CALL_ZERO;
	loff_t pos = vinteg_request_pos(rq);
	loff_t len = blk_rq_bytes(rq);
	int mode = FALLOC_FL_KEEP_SIZE;
	struct vinteg_charge charge;
	int ret;

	/* Whoever forbids unmapping wants the blocks to stay allocated. */
	if (zero && (rq->cmd_flags & REQ_NOUNMAP))
		mode |= FALLOC_FL_ZERO_RANGE;
	else
		mode |= FALLOC_FL_PUNCH_HOLE;
	trace_vinteg_issue(rq, cmd->plan.call, pos, len, false,
			   cmd->plan.durable, false);

	vinteg_charge_begin(&charge, rq, !cmd->plan.direct);
	/* vfs_fallocate(), not ->fallocate(): it honours a frozen file system. */
	do {
		ret = vfs_fallocate(dev->backing->io, mode, pos, len);
	} while (ret == -ENOMEM && vinteg_charge_spare(&charge));
	/* The latter is for parts of a block of a raw block device. */
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		ret = zero ? vinteg_data_write_zeroes(cmd, pos, len, &charge) :
			-EOPNOTSUPP;
	vinteg_charge_end(&charge);
	vinteg_cmd_data_done(cmd, ret, false);
}
