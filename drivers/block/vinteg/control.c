// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that change a device may wait for a lower file system that is
 * frozen or stalled.  They run on a worker, one after the other, in the order
 * in which they were asked for, so that the one who asked can be killed: what
 * has not begun by then is taken back, what has goes on by itself.
 *
 * While there is an operation, the module stays.  So nobody who unloads it
 * has to wait for a lower file system that he knows nothing of.
 */
#include <linux/completion.h>
#include <linux/module.h>

#include "vinteg.h"

struct vinteg_control_op {
	struct list_head entry;	/* in &struct vinteg.ops until it begins */
	struct completion completion;
	struct kref ref;	/* the caller and the worker */
	vinteg_control_fn fn;
	vinteg_control_drop_fn drop;
	void *arg;
	enum vinteg_control_kind kind;
	bool pins_module;
	int ret;
};

static struct workqueue_struct *vinteg_control_wq;

static void vinteg_control_op_release(struct kref *ref)
{
	kfree(container_of(ref, struct vinteg_control_op, ref));
}

/* Whoever takes an operation off the list decides what becomes of it. */
static struct vinteg_control_op *vinteg_control_next(struct vinteg *dev)
{
	struct vinteg_control_op *op;

	spin_lock(&dev->ops_lock);
	op = list_first_entry_or_null(&dev->ops, struct vinteg_control_op,
				      entry);
	if (op)
		list_del_init(&op->entry);
	spin_unlock(&dev->ops_lock);
	return op;
}

static bool vinteg_control_take_back(struct vinteg *dev,
				     struct vinteg_control_op *op)
{
	bool waits;

	spin_lock(&dev->ops_lock);
	waits = !list_empty(&op->entry);
	list_del_init(&op->entry);
	spin_unlock(&dev->ops_lock);
	return waits;
}

/* For an operation that will not be run. */
static void vinteg_control_drop(struct vinteg *dev,
				struct vinteg_control_op *op)
{
	if (op->drop)
		op->drop(dev, op->arg);
	if (op->pins_module)
		module_put(THIS_MODULE);
}

static void vinteg_control_run(struct vinteg *dev, struct vinteg_control_op *op)
{
	bool late;

	mutex_lock(&dev->control);
	late = dev->gone && op->kind != VINTEG_CONTROL_ALWAYS;
	op->ret = late ? -ENODEV : op->fn(dev, op->arg);
	mutex_unlock(&dev->control);

	if (late)
		vinteg_control_drop(dev, op);
	else if (op->pins_module)
		/* The workqueue is not destroyed before its workers are done. */
		module_put(THIS_MODULE);
	complete(&op->completion);
	kref_put(&op->ref, vinteg_control_op_release);
}

/**
 * vinteg_control_work() - run what was asked for
 * @work: member of &struct vinteg
 *
 * Context: worker of the control workqueue; owns a reference to the device.
 */
void vinteg_control_work(struct work_struct *work)
{
	struct vinteg *dev = container_of(work, struct vinteg, control_work);
	struct vinteg_control_op *op;

	while ((op = vinteg_control_next(dev)))
		vinteg_control_run(dev, op);
	vinteg_put(dev);
}

/**
 * vinteg_control_kind() - run an operation that changes a device
 * @dev: the device; the caller keeps it from going away until this returns
 * @kind: what becomes of it if the caller is killed
 * @fn: the operation; called with the control mutex held, at most once, and
 *	exactly once if @kind is VINTEG_CONTROL_ALWAYS
 * @drop: if @fn will not be called, called once instead, by the caller or a
 *	worker, to let go of what @arg and the claim hold; may be NULL
 * @arg: passed to @fn or @drop; must not be on the caller's stack, for @fn may
 *	outlive the caller
 *
 * Context: process; sleeps.  No lock may be held that @fn or @drop takes.
 * Return: what @fn returned; -EINTR if the caller was killed; -ENODEV if the
 * device or the module is being removed (never for VINTEG_CONTROL_ALWAYS).
 */
int vinteg_control_kind(struct vinteg *dev, enum vinteg_control_kind kind,
			vinteg_control_fn fn, vinteg_control_drop_fn drop,
			void *arg)
{
	struct vinteg_control_op *op;
	int ret;

	/* Small, and the removal of a device must not fail. */
	op = kzalloc_obj(*op, GFP_KERNEL | __GFP_NOFAIL);
	init_completion(&op->completion);
	kref_init(&op->ref);
	op->fn = fn;
	op->drop = drop;
	op->arg = arg;
	op->kind = kind;
	op->pins_module = try_module_get(THIS_MODULE);
	if (!op->pins_module && kind != VINTEG_CONTROL_ALWAYS) {
		vinteg_control_drop(dev, op);
		ret = -ENODEV;
		goto out;
	}

	kref_get(&op->ref);
	spin_lock(&dev->ops_lock);
	list_add_tail(&op->entry, &dev->ops);
	spin_unlock(&dev->ops_lock);
	/* One reference for each time that the work is run. */
	vinteg_get(dev);
	if (!queue_work(vinteg_control_wq, &dev->control_work))
		vinteg_put(dev);

	ret = wait_for_completion_killable(&op->completion);
	if (ret && kind != VINTEG_CONTROL_ALWAYS &&
	    vinteg_control_take_back(dev, op)) {
		vinteg_control_drop(dev, op);
		kref_put(&op->ref, vinteg_control_op_release);
		ret = -EINTR;
		goto out;
	}
	if (ret && kind == VINTEG_CONTROL_SHORT) {
		wait_for_completion(&op->completion);
		ret = 0;
	}
	ret = ret ? -EINTR : op->ret;
out:
	kref_put(&op->ref, vinteg_control_op_release);
	return ret;
}

/**
 * vinteg_control() - run an operation that has nothing to let go of
 * @dev: the device; the caller keeps it from going away until this returns
 * @fn: the operation; called at most once, with the control mutex held
 * @arg: passed to @fn; must not be on the caller's stack, for @fn may outlive
 *	the caller
 *
 * Context: process; sleeps.  No lock may be held that @fn takes.
 * Return: as vinteg_control_kind().
 */
int vinteg_control(struct vinteg *dev, vinteg_control_fn fn, void *arg)
{
	return vinteg_control_kind(dev, VINTEG_CONTROL_USUAL, fn, NULL, arg);
}

/**
 * vinteg_control_init() - at module load
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int vinteg_control_init(void)
{
	vinteg_control_wq = alloc_workqueue("vinteg-control", WQ_UNBOUND, 0);
	return vinteg_control_wq ? 0 : -ENOMEM;
}

/**
 * vinteg_control_exit() - at module unload; waits for all operations
 *
 * Context: process; sleeps.
 */
void vinteg_control_exit(void)
{
	destroy_workqueue(vinteg_control_wq);
}
