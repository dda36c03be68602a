// SPDX-License-Identifier: GPL-2.0
/*
 * The backing file: opening it, and finding out what it can do.
 */
#include <linux/backing-dev.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/stat.h>
#include <linux/string.h>

#include "vinteg.h"

/* All files that are bound, or about to be. */
static LIST_HEAD(vinteg_bound);
static DEFINE_MUTEX(vinteg_bind_lock);

static struct block_device *vinteg_file_bdev(struct file *file)
{
	return I_BDEV(file->f_mapping->host);
}

static bool vinteg_is_bdev(struct vinteg_backing *backing)
{
	return S_ISBLK(file_inode(backing->io)->i_mode);
}

/* The disk that the file lives on, or NULL if there is no single one. */
static struct block_device *vinteg_lower_bdev(struct vinteg_backing *backing)
{
	if (vinteg_is_bdev(backing))
		return vinteg_file_bdev(backing->io);
	return backing->mapping->host->i_sb->s_bdev;
}

static bool vinteg_on_fs(struct vinteg_backing *backing, const char *type)
{
	return !strcmp(file_inode(backing->io)->i_sb->s_type->name, type);
}

/*
 * Opening a FIFO may block and opening a character device may do anything.
 * And what looks like a file in sysfs or proc is none: reading it runs code.
 * The mark of such file systems is that nothing of theirs can be executed.
 */
static int vinteg_check_type(struct inode *inode)
{
	umode_t mode = inode->i_mode;

	if (S_ISREG(mode))
		return inode->i_sb->s_iflags & SB_I_NOEXEC ? -EINVAL : 0;
	if (S_ISBLK(mode))
		return 0;
	return S_ISDIR(mode) ? -EISDIR : -ENOTBLK;
}

static int vinteg_open_flags(struct vinteg_backing *backing)
{
	return O_LARGEFILE | (backing->read_only ? O_RDONLY : O_RDWR);
}

/*
 * Overlay claims direct I/O for whatever is below it, which is asked only when
 * a file is opened for it.  The claim of a raw block device holds.
 *
 * Returns 0, -EINVAL if it can't be opened for direct I/O, or what else has
 * gone wrong, which tells nothing of the file.
 */
static int vinteg_opens_direct(struct vinteg_backing *backing)
{
	struct file *file = backing->io;

	if (!(file->f_mode & FMODE_CAN_ODIRECT))
		return -EINVAL;
	if (vinteg_is_bdev(backing))
		return 0;
	file = dentry_open(&file->f_path, vinteg_open_flags(backing) | O_DIRECT,
			   current_cred());
	if (IS_ERR(file))
		return PTR_ERR(file);
	vinteg_fput_sync(file);
	return 0;
}

static int vinteg_probe_direct_io(struct vinteg_backing *backing)
{
	struct file *file = backing->io;
	struct kstat st;
	int err = vinteg_opens_direct(backing);

	if (err)
		return err == -EINVAL || err == -EOPNOTSUPP ? 0 : err;
	err = vfs_getattr(&file->f_path, &st, STATX_DIOALIGN, 0);
	if (err)
		return err;

	if (vinteg_is_bdev(backing)) {
		backing->dio_align = bdev_logical_block_size(vinteg_file_bdev(file));
		backing->dio_mem_align =
			bdev_dma_alignment(vinteg_file_bdev(file)) + 1;
	} else if (st.result_mask & STATX_DIOALIGN) {
		backing->dio_align = st.dio_offset_align;
		backing->dio_mem_align = st.dio_mem_align;
	} else {
		/*
		 * Those that don't tell go through the page cache below their
		 * block size (btrfs), or don't care (NFS, whose block size is
		 * a transfer size).  Memory is held to the same by some (FAT).
		 */
		backing->dio_align = min_t(unsigned int, PAGE_SIZE,
					   i_blocksize(file_inode(file)));
		backing->dio_mem_align = backing->dio_align;
	}
	if (backing->dio_align)
		backing->dio_align = max(backing->dio_align, 512U);
	/* Blocks larger than a page can't be offered to all kernels. */
	if (backing->dio_align > PAGE_SIZE)
		backing->dio_align = 0;
	return 0;
}

static void vinteg_probe_sync(struct vinteg_backing *backing)
{
	struct block_device *bdev = vinteg_lower_bdev(backing);

	/*
	 * Known to keep what a dsync write promises, and to cover with the
	 * sync of one range all that has been written back before.  Others
	 * (NFS, whose direct writes ignore the result of their sync; btrfs,
	 * which logs by range) get an explicit sync for each range.
	 */
	backing->one_sync = vinteg_is_bdev(backing) ||
		vinteg_on_fs(backing, "ext4") || vinteg_on_fs(backing, "xfs");

	backing->tells_stop = backing->one_sync && !vinteg_is_bdev(backing);
	backing->notices_late = vinteg_on_fs(backing, "ext4");

	/* Without FUA on the disk, one sync for several writes is cheaper. */
	backing->native_dsync = backing->one_sync && bdev &&
		(!bdev_write_cache(bdev) || bdev_fua(bdev));
	/* Others say that they do, and pass it on to disks that may not. */
	backing->disk_fua = backing->native_dsync && queue_is_mq(bdev->bd_queue);
	/*
	 * iomap forces the data of a clean block with FUA, but the file system
	 * syncs if there is metadata to be written.
	 */
	backing->native_flushes = backing->native_dsync &&
		bdev_write_cache(bdev) &&
		!(vinteg_is_bdev(backing) && backing->disk_fua);

	/*
	 * btrfs_sync_file() logs the extents of direct writes that are under
	 * way, too, and waits for those of the page cache only (6.1 to 7.3).
	 * After a power cut the log leads to blocks that were never written,
	 * in place of those that were synced before.
	 */
	backing->syncs_alone = vinteg_on_fs(backing, "btrfs");

	/* The same ones: what others do in the submitter's context is open. */
	backing->can_nowait = backing->one_sync && bdev && bdev_nowait(bdev) &&
		backing->io->f_mode & FMODE_NOWAIT;
	/* xfs_file_buffered_read(), 6.1 to 7.3. */
	backing->reads_wait = vinteg_on_fs(backing, "xfs");
	backing->late_completion = VINTEG_IOMAP_LATE_COMPLETION &&
		!vinteg_is_bdev(backing);
}

static int vinteg_open_files(struct vinteg_backing *backing, const char *path)
{
	int flags = vinteg_open_flags(backing);
	int excl;
	struct file *file;
	struct path at;
	umode_t mode;
	int err;

	err = kern_path(path, LOOKUP_FOLLOW, &at);
	if (err)
		return err;
	mode = d_inode(at.dentry)->i_mode;
	if (S_ISBLK(mode) &&
	    d_inode(at.dentry)->i_rdev == disk_devt(backing->dev->disk))
		err = -ELOOP;
	err = err ?: vinteg_check_type(d_inode(at.dentry));
	path_put(&at);
	if (err)
		return err;

	/*
	 * A raw block device is claimed by the file that data goes through:
	 * blkdev_fallocate() takes it for a stranger otherwise.
	 */
	excl = S_ISBLK(mode) ? O_EXCL : 0;
	/* filp_open() checks permissions, dentry_open() does not. */
	file = filp_open(path, flags | excl | O_NONBLOCK, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	backing->io = file;
	/* Of an overlay file, the one below that has the pages. */
	backing->mapping = S_ISBLK(mode) ? file->f_mapping :
		d_real_inode(file_dentry(file))->i_mapping;
	/* The path may lead elsewhere by now. */
	if ((file_inode(file)->i_mode ^ mode) & S_IFMT)
		return -EBUSY;
	err = vinteg_check_type(file_inode(file));
	if (err)
		return err;
	if (!file->f_op->read_iter || !file->f_op->write_iter ||
	    !file->f_op->fsync)
		return -EINVAL;
	file->f_flags &= ~O_NONBLOCK;
	/* Timestamps on the way of each I/O cost; vinteg_backing_touch(). */
	file->f_mode |= FMODE_NOCMTIME;
	file->f_flags |= O_NOATIME;
	/*
	 * As POSIX_FADV_SEQUENTIAL does: several requests at a time read it.
	 * Not if there is enough for them: random reads may set it off, too.
	 */
	if (file->f_ra.ra_pages < SZ_1M >> PAGE_SHIFT)
		file->f_ra.ra_pages *= 2;

	/* Newer kernels let a read-only disk be opened for writing. */
	if (vinteg_is_bdev(backing) && !backing->read_only &&
	    bdev_read_only(vinteg_file_bdev(file)))
		return -EROFS;

	file = dentry_open(&backing->io->f_path, flags, current_cred());
	if (IS_ERR(file))
		return PTR_ERR(file);
	backing->sync = file;
	return 0;
}

/**
 * vinteg_backing_of_disk() - the file that a disk is bound to
 * @disk: any disk
 *
 * Context: vinteg_bind_lock is held.
 * Return: the backing, or NULL if @disk is not one of this driver's or not
 * bound.
 */
static struct vinteg_backing *vinteg_backing_of_disk(struct gendisk *disk)
{
	struct vinteg_backing *backing;

	lockdep_assert_held(&vinteg_bind_lock);

	list_for_each_entry(backing, &vinteg_bound, list)
		if (backing->dev->disk == disk)
			return backing;
	return NULL;
}

/* Walks down from a file to the disk it is on, and on if that is ours. */
static int vinteg_check_chain(struct vinteg_backing *backing)
{
	struct vinteg *dev = backing->dev;
	int depth;

	/* Completions run up the whole chain on one stack. */
	for (depth = 0; backing; depth++) {
		struct block_device *bdev = vinteg_lower_bdev(backing);

		if (!bdev)
			return 0;
		if (bdev->bd_disk == dev->disk || depth == VINTEG_MAX_DEPTH)
			return -ELOOP;
		backing = vinteg_backing_of_disk(bdev->bd_disk);
	}
	return 0;
}

/* An overlay file that has been copied up since has other pages below. */
static bool vinteg_same_file(struct vinteg_backing *one,
			     struct vinteg_backing *other)
{
	return one->mapping->host == other->mapping->host ||
		file_inode(one->io) == file_inode(other->io);
}

static int vinteg_check_sharing(struct vinteg_backing *backing)
{
	struct vinteg_backing *other;

	if (IS_SWAPFILE(backing->mapping->host))
		return -EBUSY;
	list_for_each_entry(other, &vinteg_bound, list)
		if (vinteg_same_file(other, backing) &&
		    !(other->read_only && backing->read_only))
			return -EBUSY;
	return 0;
}

/**
 * vinteg_backing_stat_size() - ask the file system for the size of a file
 * @backing: the file
 * @size: gets the size in bytes
 *
 * Others may have changed it on a server (NFS) or below (FUSE) without this
 * kernel having noticed; vinteg_backing_size() is right afterwards.
 *
 * Context: process; sleeps.
 * Return: 0 or a negative errno.
 */
int vinteg_backing_stat_size(struct vinteg_backing *backing, loff_t *size)
{
	struct kstat st;
	int err;

	if (vinteg_is_bdev(backing)) {
		*size = vinteg_backing_size(backing);
		return 0;
	}
	err = vfs_getattr(&backing->io->f_path, &st, STATX_SIZE,
			  AT_STATX_FORCE_SYNC);
	if (!err)
		*size = st.size;
	return err;
}

/**
 * vinteg_backing_open() - open and probe a backing file
 * @dev: device that it is meant for
 * @path: path, resolved in the caller's mount namespace with the caller's
 *	credentials
 * @read_only: open it for reading only
 *
 * Context: process; sleeps; takes vinteg_bind_lock.
 * Return: the backing, or an ERR_PTR(): what opening the path gave, -EISDIR
 * or -ENOTBLK for what is neither a file nor a block device, -EINVAL for a
 * file that holds no data, -EBUSY for one that is in use, -ELOOP for a chain
 * that closes.
 */
struct vinteg_backing *vinteg_backing_open(struct vinteg *dev,
					   const char *path, bool read_only)
{
	struct vinteg_backing *backing = kzalloc_obj(struct vinteg_backing);
	struct block_device *bdev;
	int err;

	if (!backing)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&backing->list);
	backing->dev = dev;
	backing->read_only = read_only;

	err = vinteg_open_files(backing, path);
	if (err)
		goto out_close;

	mutex_lock(&vinteg_bind_lock);
	err = vinteg_check_chain(backing) ?: vinteg_check_sharing(backing);
	if (!err)
		list_add(&backing->list, &vinteg_bound);
	mutex_unlock(&vinteg_bind_lock);
	if (err)
		goto out_close;

	err = vinteg_backing_stat_size(backing, &backing->size);
	if (err)
		goto out_close;
	backing->folio_size = mapping_max_folio_size(backing->mapping);
	bdev = vinteg_is_bdev(backing) ? vinteg_file_bdev(backing->io) : NULL;
	backing->block_size = bdev ? bdev_physical_block_size(bdev) :
		i_blocksize(backing->mapping->host);
	/* That of a network file system is a transfer size. */
	if (!vinteg_lower_bdev(backing))
		backing->block_size = min_t(unsigned int, PAGE_SIZE,
					    backing->block_size);
	backing->stable_writes = bdev ? bdev_stable_writes(bdev) :
		backing->mapping->host->i_sb->s_iflags & SB_I_STABLE_WRITES;
	/* blkdev_fallocate() has only this to offer. */
	backing->can_discard = backing->io->f_op->fallocate &&
		(!bdev || bdev_write_zeroes_sectors(bdev));
	err = vinteg_probe_direct_io(backing);
	if (err)
		goto out_close;
	vinteg_probe_sync(backing);
	/*
	 * Unlike iomap and fs/direct-io.c, block/fops.c and older FUSE leave it
	 * to who waits.  Nobody else is to be helped: what btrfs has just
	 * written through the page cache can't be dropped for a while.
	 */
	backing->must_invalidate = bdev ||
		backing->mapping->host->i_sb->s_magic == FUSE_SUPER_MAGIC;
	return backing;

out_close:
	vinteg_backing_close(backing);
	return ERR_PTR(err);
}

/**
 * vinteg_backing_keep_stable() - keep pages as they are while they are written
 * @backing: a bound file, about to be written to through its page cache
 *
 * A page may be changed while it is on its way to the disk, if the disk itself
 * doesn't mind.  What gets there may be the one half of an old sector and the
 * other half of a new one: after a power cut nothing is left of what had been
 * durable.  A disk writes a sector or doesn't.  So whoever writes has to wait.
 *
 * It stays like this until the file is closed.  Whether others want it isn't
 * counted, but those that do (a disk with checksums) have set it before.
 *
 * Context: any.
 */
void vinteg_backing_keep_stable(struct vinteg_backing *backing)
{
	if (mapping_stable_writes(backing->mapping))
		return;
	WRITE_ONCE(backing->made_stable, true);
	mapping_set_stable_writes(backing->mapping);
}

/**
 * vinteg_backing_close() - close a backing file
 * @backing: what vinteg_backing_open() returned
 *
 * When this returns on a kernel thread, or when a user task that called it is
 * back in user space, the lower file system can be unmounted.
 *
 * Context: process; sleeps; takes vinteg_bind_lock.
 */
void vinteg_backing_close(struct vinteg_backing *backing)
{
	mutex_lock(&vinteg_bind_lock);
	list_del(&backing->list);
	mutex_unlock(&vinteg_bind_lock);

	if (backing->made_stable)
		mapping_clear_stable_writes(backing->mapping);
	if (backing->sync)
		vinteg_fput_sync(backing->sync);
	if (backing->io)
		vinteg_fput_sync(backing->io);
	kfree(backing);
}

/**
 * vinteg_backing_check() - can a file do what a policy needs?
 * @dev: device, for the log
 * @backing: the file
 * @policy: the policy
 * @block_size: logical block size of the device in bytes
 *
 * Context: any.
 * Return: 0, -EOPNOTSUPP if the policy needs direct I/O and the file can't,
 * -EINVAL if it can, but only in larger blocks.
 */
int vinteg_backing_check(struct vinteg *dev, struct vinteg_backing *backing,
			 const struct vinteg_policy *policy,
			 unsigned int block_size)
{
	if (!vinteg_policy_needs_direct(policy))
		return 0;
	if (!backing->dio_align) {
		vinteg_err(dev, "policy %s needs direct I/O, which the backing file can't do\n",
			   policy->name);
		return -EOPNOTSUPP;
	}
	if (block_size < backing->dio_align) {
		vinteg_err(dev, "policy %s needs a logical_block_size of at least %u\n",
			   policy->name, backing->dio_align);
		return -EINVAL;
	}
	return 0;
}

/**
 * vinteg_backing_touch() - bring mtime, ctime and i_version up to date
 * @backing: the file
 * @wait: wait for a frozen file system
 *
 * Context: process; sleeps.
 * Return: false if the file system is frozen and @wait was not set.
 */
bool vinteg_backing_touch(struct vinteg_backing *backing, bool wait)
{
	struct super_block *sb = file_inode(backing->sync)->i_sb;

	/* Of a device node nobody reads it. */
	if (vinteg_is_bdev(backing) || data_race(sb_rdonly(sb)))
		return true;
	if (wait)
		sb_start_write(sb);
	else if (!sb_start_write_trylock(sb))
		return false;
	file_update_time(backing->sync);
	sb_end_write(sb);
	return true;
}
