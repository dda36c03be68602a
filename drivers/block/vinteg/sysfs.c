// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of /sys/block/vintegN; see sysfs-block-vinteg.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>

#include "vinteg.h"

static struct vinteg *vinteg_of_device(struct device *d)
{
	return dev_to_disk(d)->private_data;
}

/* The mode of a file may have been changed; what it does has not. */
static int vinteg_may_change(struct vinteg *dev)
{
	if (capable(CAP_SYS_ADMIN))
		return 0;
	vinteg_err(dev, "changing it needs CAP_SYS_ADMIN\n");
	return -EPERM;
}

static ssize_t backing_file_show(struct device *d,
				 struct device_attribute *attr, char *buf)
{
	struct vinteg *dev = vinteg_of_device(d);
	char *page, *path = NULL;
	ssize_t len = 0;

	page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	/* Under the lock: a reference would keep the file from closing. */
	spin_lock(&dev->backing_lock);
	if (dev->backing)
		path = file_path(dev->backing->io, page, PAGE_SIZE);
	spin_unlock(&dev->backing_lock);

	/* As in /proc/mounts. */
	if (IS_ERR(path))
		len = PTR_ERR(path);
	else if (path)
		len = string_escape_str(path, buf, PAGE_SIZE - 1, ESCAPE_OCTAL,
					" \t\n\\");
	kfree(page);
	if (len < 0)
		return len;
	if (len >= PAGE_SIZE - 1)
		return -ENAMETOOLONG;
	buf[len++] = '\n';
	return len;
}

static ssize_t backing_file_store(struct device *d,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct vinteg *dev = vinteg_of_device(d);
	size_t len = strnlen(buf, count);
	char *path;
	int err = vinteg_may_change(dev);

	if (err)
		return err;
	if (len < count) {
		vinteg_err(dev, "backing_file contains a NUL byte\n");
		return -EINVAL;
	}
	if (len && buf[len - 1] == '\n')
		len--;
	if (!len) {
		vinteg_err(dev, "backing_file is empty\n");
		return -EINVAL;
	}
	path = kmemdup_nul(buf, len, GFP_KERNEL);
	if (!path)
		return -ENOMEM;
	/* On the way to the file, too, somebody may fail to answer. */
	err = -ENODEV;
	if (try_module_get(THIS_MODULE)) {
		err = vinteg_bind_path(dev, path);
		module_put(THIS_MODULE);
	}
	kfree(path);
	return err ?: count;
}
static DEVICE_ATTR_RW(backing_file);

static ssize_t cache_policy_show(struct device *d,
				 struct device_attribute *attr, char *buf)
{
	const struct vinteg_policy *policy =
		READ_ONCE(vinteg_of_device(d)->policy);
	int i, at = 0;

	for (i = 0; i < VINTEG_NR_POLICIES; i++) {
		bool current_one = policy == &vinteg_policies[i];

		at += sysfs_emit_at(buf, at, current_one ? "%s[%s]" : "%s%s",
				    i ? " " : "", vinteg_policies[i].name);
	}
	return at + sysfs_emit_at(buf, at, "\n");
}

static ssize_t cache_policy_store(struct device *d,
				  struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct vinteg *dev = vinteg_of_device(d);
	const struct vinteg_policy *policy;
	int err = vinteg_may_change(dev);

	if (err)
		return err;
	policy = strlen(buf) == count ? vinteg_policy_find(buf) : NULL;
	if (!policy) {
		vinteg_err(dev, "unknown cache_policy\n");
		return -EINVAL;
	}
	err = vinteg_switch_policy(dev, policy);
	return err ?: count;
}
static DEVICE_ATTR_RW(cache_policy);

static ssize_t read_only_show(struct device *d, struct device_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%d\n",
			  READ_ONCE(vinteg_of_device(d)->read_only));
}

static ssize_t read_only_store(struct device *d, struct device_attribute *attr,
			       const char *buf, size_t count)
{
	struct vinteg *dev = vinteg_of_device(d);
	int err = vinteg_may_change(dev);
	bool read_only = sysfs_streq(buf, "1");

	if (err)
		return err;
	if (strlen(buf) != count || (!read_only && !sysfs_streq(buf, "0"))) {
		vinteg_err(dev, "read_only is neither 0 nor 1\n");
		return -EINVAL;
	}
	err = vinteg_set_read_only(dev, read_only);
	return err ?: count;
}
static DEVICE_ATTR_RW(read_only);

static ssize_t logical_block_size_show(struct device *d,
				       struct device_attribute *attr,
				       char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  READ_ONCE(vinteg_of_device(d)->logical_block_size));
}

static ssize_t logical_block_size_store(struct device *d,
					struct device_attribute *attr,
					const char *buf, size_t count)
{
	struct vinteg *dev = vinteg_of_device(d);
	int err = vinteg_may_change(dev);
	unsigned int size;

	if (err)
		return err;
	if (strlen(buf) != count || kstrtouint(buf, 10, &size)) {
		vinteg_err(dev, "logical_block_size is not a number\n");
		return -EINVAL;
	}
	err = vinteg_set_block_size(dev, size);
	return err ?: count;
}
static DEVICE_ATTR_RW(logical_block_size);

static ssize_t vinteg_store_one(struct device *d, const char *name,
				const char *only, int (*fn)(struct vinteg *dev),
				const char *buf, size_t count)
{
	struct vinteg *dev = vinteg_of_device(d);
	int err = vinteg_may_change(dev);

	if (err)
		return err;
	if (strlen(buf) != count || !sysfs_streq(buf, only)) {
		vinteg_err(dev, "%s takes only %s\n", name, only);
		return -EINVAL;
	}
	err = fn(dev);
	return err ?: count;
}

static ssize_t rescan_store(struct device *d, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	return vinteg_store_one(d, "rescan", "1", vinteg_rescan, buf, count);
}
static DEVICE_ATTR_WO(rescan);

static ssize_t reset_store(struct device *d, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	return vinteg_store_one(d, "reset", "1", vinteg_reset, buf, count);
}
static DEVICE_ATTR_WO(reset);

static ssize_t writeback_error_show(struct device *d,
				    struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", -READ_ONCE(vinteg_of_device(d)->error));
}

static ssize_t writeback_error_store(struct device *d,
				     struct device_attribute *attr,
				     const char *buf, size_t count)
{
	return vinteg_store_one(d, "writeback_error", "0", vinteg_forgive, buf,
				count);
}
static DEVICE_ATTR_RW(writeback_error);

static struct attribute *vinteg_attrs[] = {
	&dev_attr_backing_file.attr,
	&dev_attr_cache_policy.attr,
	&dev_attr_read_only.attr,
	&dev_attr_logical_block_size.attr,
	&dev_attr_rescan.attr,
	&dev_attr_reset.attr,
	&dev_attr_writeback_error.attr,
	NULL
};

static const struct attribute_group vinteg_group = {
	.attrs = vinteg_attrs,
};

const struct attribute_group *vinteg_disk_groups[] = {
	&vinteg_group,
	&vinteg_stats_group,
	NULL
};
