// SPDX-License-Identifier: GPL-2.0
/*
 * Whether the file system below can be believed when it says that data is
 * durable: some never can, others not any more.
 */
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uio.h>

#include "vinteg.h"

/* Whole words only: "nobarrier" is not "barrier". */
static bool vinteg_has_option(const char *options, const char *name)
{
	size_t len = strlen(name);
	const char *p = options;

	while ((p = strstr(p, name))) {
		if ((p == options || p[-1] == ',') &&
		    (!p[len] || p[len] == ','))
			return true;
		p += len;
	}
	return false;
}

static const char *vinteg_lying_option(struct vinteg_backing *backing)
{
	static const char * const types[] = { "ext4", "ext3", "ext2", "btrfs",
					      "f2fs", "overlay" };
	static const char * const options[] = { "nobarrier", "barrier=0",
						"fsync_mode=nobarrier",
						"volatile",
						"fsync=volatile" };
	struct super_block *sb = file_inode(backing->io)->i_sb;
	struct seq_file m = { .size = PAGE_SIZE, .file = backing->io };
	const char *found = NULL;
	int i;

	if (match_string(types, ARRAY_SIZE(types), sb->s_type->name) < 0 ||
	    !sb->s_op->show_options)
		return NULL;
	m.buf = kzalloc(m.size, GFP_KERNEL);
	if (!m.buf)
		return NULL;
	mutex_init(&m.lock);
	if (!sb->s_op->show_options(&m, sb->s_root)) {
		m.buf[min(m.count, m.size - 1)] = 0;
		for (i = 0; i < ARRAY_SIZE(options) && !found; i++)
			if (vinteg_has_option(m.buf, options[i]))
				found = options[i];
	}
	kfree(m.buf);
	return found;
}

static const char *vinteg_backing_lies(struct vinteg_backing *backing)
{
	if (backing->io->f_op->fsync == noop_fsync)
		return "its sync does nothing";
	return vinteg_lying_option(backing);
}

/**
 * vinteg_backing_warn() - log it if the file system acknowledges syncs falsely
 * @dev: the device
 * @backing: its file
 * @policy: a policy that promises nothing needs no warning
 *
 * Context: process; sleeps.
 */
void vinteg_backing_warn(struct vinteg *dev, struct vinteg_backing *backing,
			 const struct vinteg_policy *policy)
{
	const char *why;

	if (backing->read_only || policy->flush == VINTEG_FLUSH_IGNORE)
		return;
	why = vinteg_backing_lies(backing);
	if (why)
		vinteg_warn(dev, "the file system below acknowledges syncs without making data durable: %s\n",
			    why);
}

/**
 * vinteg_backing_stopped() - has the file system below given up?
 * @backing: a file that is bound for writing
 *
 * To be asked when a sync has succeeded, for it may have done nothing.  After
 * an emergency remount ext4_sync_file() returns 0 at once.  And if the xfs log
 * fails while a shutdown for another reason waits for just that log write,
 * xlog_force_shutdown() returns before it has set XLOG_IO_ERROR, and whoever
 * else waits for the write is told that all is well (6.1 to 7.3).  That the
 * file system shuts down is set by then, and both ext4 and xfs look at it
 * before anything else in a read, even if nothing is to be read.
 *
 * Context: any.
 * Return: 0, or a negative errno: nothing that is done now will last.
 */
int vinteg_backing_stopped(struct vinteg_backing *backing)
{
	struct kiocb iocb = {
		.ki_filp	= backing->io,
		/* So that xfs takes no lock. */
		.ki_flags	= IOCB_DIRECT,
	};
	struct iov_iter iter;

	/* Without a lock, as everybody does. */
	if (data_race(sb_rdonly(backing->mapping->host->i_sb)))
		return -EROFS;
	if (!backing->tells_stop)
		return 0;
	iov_iter_bvec(&iter, ITER_DEST, NULL, 0, 0);
	return backing->io->f_op->read_iter(&iocb, &iter);
}

/**
 * vinteg_backing_knock() - let the file system notice that it has given up
 * @backing: a file that is bound for writing
 *
 * To be done before a sync.  If a transaction fails that nobody waits for, its
 * journal is aborted, but jbd2_complete_transaction() succeeds afterwards: it
 * asks only for transactions under way.  ext4 finds out when it starts the next
 * handle, from 6.12 on so that a sync fails then.  On 6.1 it does not.
 *
 * Context: process; sleeps.
 */
void vinteg_backing_knock(struct vinteg_backing *backing)
{
	struct inode *inode = backing->mapping->host;

	/* ext4 warns of who starts a handle then; the sync is in vain anyway. */
	if (!backing->notices_late || data_race(sb_rdonly(inode->i_sb)))
		return;
	/* A frozen one has just synced all. */
	if (!sb_start_write_trylock(inode->i_sb))
		return;
	mark_inode_dirty_sync(inode);
	sb_end_write(inode->i_sb);
}
