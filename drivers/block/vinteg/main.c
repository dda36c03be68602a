// SPDX-License-Identifier: GPL-2.0
/*
 * Module parameters, /sys/class/vinteg-control, init and exit.
 */
#define pr_fmt(fmt) "vinteg: " fmt

#include <linux/device/class.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/stringify.h>
#include <linux/sysfs.h>

#include "vinteg.h"

#ifdef MODULE
#define VINTEG_BUILT_IN		false
#else
#define VINTEG_BUILT_IN		true
#endif

static unsigned int num_devices = VINTEG_DEF_NUM_DEVICES;
module_param(num_devices, uint, 0444);
MODULE_PARM_DESC(num_devices, "Devices to create at least, up to "
		 __stringify(VINTEG_MAX_NUM_DEVICES) " (default: "
		 __stringify(VINTEG_DEF_NUM_DEVICES) ")");

static char *backing_file[VINTEG_MAX_NUM_DEVICES];
static unsigned int nr_backing_file;
module_param_array(backing_file, charp, &nr_backing_file, 0444);
MODULE_PARM_DESC(backing_file, "Files to bind, the first to vinteg0 and so on; absolute paths without commas (default: none)");

static char *cache_policy[VINTEG_MAX_NUM_DEVICES];
static unsigned int nr_cache_policy;
module_param_array(cache_policy, charp, &nr_cache_policy, 0444);
MODULE_PARM_DESC(cache_policy, "Cache policies of these files (default: "
		 VINTEG_DEF_POLICY ")");

static bool read_only[VINTEG_MAX_NUM_DEVICES];
static unsigned int nr_read_only;
module_param_array(read_only, bool, &nr_read_only, 0444);
MODULE_PARM_DESC(read_only, "Bind these files for reading only (default: "
		 __stringify(VINTEG_DEF_READ_ONLY) ")");

static unsigned int logical_block_size[VINTEG_MAX_NUM_DEVICES];
static unsigned int nr_logical_block_size;
module_param_array(logical_block_size, uint, &nr_logical_block_size, 0444);
MODULE_PARM_DESC(logical_block_size, "Logical block sizes of these files in bytes, 0 for the smallest possible (default: "
		 __stringify(VINTEG_DEF_BLOCK_SIZE) ")");

unsigned int vinteg_nr_hw_queues = VINTEG_DEF_NR_HW_QUEUES;
module_param_named(nr_hw_queues, vinteg_nr_hw_queues, uint, 0444);
MODULE_PARM_DESC(nr_hw_queues, "Hardware queues of a device, 0 for one per CPU (default: "
		 __stringify(VINTEG_DEF_NR_HW_QUEUES) ")");

unsigned int vinteg_hw_queue_depth = VINTEG_DEF_QUEUE_DEPTH;
module_param_named(hw_queue_depth, vinteg_hw_queue_depth, uint, 0444);
MODULE_PARM_DESC(hw_queue_depth, "Requests in flight per hardware queue (default: "
		 __stringify(VINTEG_DEF_QUEUE_DEPTH) ")");

/**
 * vinteg_may_log() - keep to the limit of a line's rate
 * @rs: the state of this line, with RATELIMIT_MSG_ON_RELEASE
 *
 * Context: any.
 * Return: whether the line may be logged.
 */
bool vinteg_may_log(struct ratelimit_state *rs)
{
	int missed;

	if (!__ratelimit(rs))
		return false;
	missed = ratelimit_state_reset_miss(rs);
	if (missed)
		pr_info("%d lines like the next one were left out\n", missed);
	return true;
}

static int vinteg_may_change(const char *name)
{
	if (capable(CAP_SYS_ADMIN))
		return 0;
	vinteg_err_limited("%s needs CAP_SYS_ADMIN\n", name);
	return -EPERM;
}

static ssize_t hot_add_show(VINTEG_CLASS_CONST struct class *class,
			    VINTEG_CLASS_CONST struct class_attribute *attr,
			    char *buf)
{
	int err = vinteg_may_change("hot_add");
	int index;

	if (err)
		return err;
	index = vinteg_hot_add();
	if (index < 0) {
		vinteg_err_limited("hot_add failed (%d)\n", index);
		return index;
	}
	return sysfs_emit(buf, "%d\n", index);
}

/* Reading has an effect, so not for everybody. */
static VINTEG_CLASS_CONST struct class_attribute class_attr_hot_add =
	__ATTR(hot_add, 0400, hot_add_show, NULL);

static ssize_t hot_remove_store(VINTEG_CLASS_CONST struct class *class,
				VINTEG_CLASS_CONST struct class_attribute *attr,
				const char *buf, size_t count)
{
	int err = vinteg_may_change("hot_remove");
	int index;

	if (err)
		return err;
	if (strlen(buf) != count || kstrtoint(buf, 10, &index) || index < 0) {
		vinteg_err_limited("hot_remove takes the number of a device\n");
		return -EINVAL;
	}
	err = vinteg_hot_remove(index);
	if (err == -ENODEV)
		vinteg_err_limited("hot_remove: there is no vinteg%d\n", index);
	return err ?: count;
}

static VINTEG_CLASS_CONST struct class_attribute class_attr_hot_remove =
	__ATTR_WO(hot_remove);

static struct attribute *vinteg_control_class_attrs[] = {
	(struct attribute *)&class_attr_hot_add.attr,
	(struct attribute *)&class_attr_hot_remove.attr,
	NULL
};
ATTRIBUTE_GROUPS(vinteg_control_class);

static struct class vinteg_control_class = {
	.name		= "vinteg-control",
	.class_groups	= vinteg_control_class_groups,
};

static int __init vinteg_check_params(void)
{
	const char *name;
	unsigned int i;

	if (vinteg_nr_hw_queues > VINTEG_MAX_NR_HW_QUEUES) {
		pr_err("nr_hw_queues=%u is more than %d\n", vinteg_nr_hw_queues,
		       VINTEG_MAX_NR_HW_QUEUES);
		return -EINVAL;
	}
	if (!vinteg_hw_queue_depth ||
	    vinteg_hw_queue_depth > VINTEG_MAX_QUEUE_DEPTH) {
		pr_err("hw_queue_depth=%u is not from 1 to %d\n",
		       vinteg_hw_queue_depth, VINTEG_MAX_QUEUE_DEPTH);
		return -EINVAL;
	}
	if (num_devices > VINTEG_MAX_NUM_DEVICES) {
		pr_err("num_devices=%u is more than %d\n", num_devices,
		       VINTEG_MAX_NUM_DEVICES);
		return -EINVAL;
	}
	for (i = 0; i < nr_backing_file; i++) {
		/* What follows a comma in a name hardly ever looks like one. */
		if (backing_file[i][0] != '/') {
			name = vinteg_name_end(backing_file[i]);
			pr_err("backing_file \"%*pE\" doesn't begin with \"/\"%s\n",
			       (int)strlen(name), name,
			       i ? " (a comma ends a name)" : "");
			return -EINVAL;
		}
	}
	if (nr_cache_policy > nr_backing_file) {
		pr_err("more values for cache_policy than for backing_file\n");
		return -EINVAL;
	}
	for (i = 0; i < nr_cache_policy; i++) {
		if (!vinteg_policy_find(cache_policy[i])) {
			name = vinteg_name_end(cache_policy[i]);
			pr_err("unknown cache_policy \"%*pE\"\n",
			       (int)strlen(name), name);
			return -EINVAL;
		}
	}
	if (nr_read_only > nr_backing_file) {
		pr_err("more values for read_only than for backing_file\n");
		return -EINVAL;
	}
	if (nr_logical_block_size > nr_backing_file) {
		pr_err("more values for logical_block_size than for backing_file\n");
		return -EINVAL;
	}
	return 0;
}

/* What was asked for on the modprobe line, for one device. */
static int __init vinteg_apply_params(struct vinteg *dev)
{
	unsigned int i = dev->index;
	int err = 0;

	if (i < nr_cache_policy)
		err = vinteg_switch_policy(dev,
					   vinteg_policy_find(cache_policy[i]));
	if (!err && i < nr_read_only)
		err = vinteg_set_read_only(dev, read_only[i]);
	if (!err && i < nr_logical_block_size)
		err = vinteg_set_block_size(dev, logical_block_size[i]);
	if (!err && i < nr_backing_file)
		err = vinteg_bind_claimed(dev, backing_file[i]);
	return err;
}

static int __init vinteg_init(void)
{
	unsigned int i, nr = max(num_devices, nr_backing_file);
	int err;

	err = vinteg_check_params();
	if (err)
		return err;
	if (VINTEG_BUILT_IN && nr_backing_file) {
		/* No file system is mounted yet. */
		pr_info("backing_file not bound at boot\n");
		nr = num_devices;
		nr_backing_file = 0;
	}
	err = vinteg_control_init();
	if (err)
		return err;

	/*
	 * A module whose init fails is freed without asking who uses it.  So
	 * nobody can open a device until nothing can fail any more.
	 */
	for (i = 0; i < nr; i++) {
		struct vinteg *dev = vinteg_create(true);

		if (IS_ERR(dev)) {
			err = PTR_ERR(dev);
			goto out_create;
		}
		err = vinteg_apply_params(dev);
		if (err)
			goto out_devices;
	}
	for (i = 0; i < nr; i++) {
		err = vinteg_add(vinteg_find(i));
		if (err)
			goto out_create;
	}
	err = class_register(&vinteg_control_class);
	if (err)
		goto out_devices;
	for (i = 0; i < nr; i++)
		vinteg_publish(vinteg_find(i));
	return 0;

out_create:
	pr_err("can't create device %u of %u (%d)\n", i + 1, nr, err);
out_devices:
	vinteg_remove_all();
	vinteg_control_exit();
	return err;
}

static void __exit vinteg_exit(void)
{
	/* First, so that no device comes or goes any more. */
	class_unregister(&vinteg_control_class);
	vinteg_remove_all();
	vinteg_control_exit();
}

module_init(vinteg_init);
module_exit(vinteg_exit);

MODULE_DESCRIPTION("File-backed disks with honest durability");
MODULE_LICENSE("GPL");
