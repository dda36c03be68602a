// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that change a device may wait for a lower file system that is
 * frozen or stalled.  They run on a worker, so that the one who asked can be
 * killed; the operation then goes on by itself.
 */
#include <linux/completion.h>

#include "vinteg.h"

struct vinteg_control_op {
	struct work_struct work;
	struct completion completion;
	struct kref ref;	/* the caller and the worker */
	struct vinteg *dev;
	vinteg_control_fn fn;
	void *arg;
	int ret;
};

static struct workqueue_struct *vinteg_control_wq;

static void vinteg_control_op_release(struct kref *ref)
{
	kfree(container_of(ref, struct vinteg_control_op, ref));
}

static int vinteg_control_run(struct vinteg *dev, vinteg_control_fn fn,
			      void *arg)
{
	int ret;

	mutex_lock(&dev->control);
	ret = fn(dev, arg);
	mutex_unlock(&dev->control);
	return ret;
}

static void vinteg_control_work(struct work_struct *work)
{
	struct vinteg_control_op *op =
		container_of(work, struct vinteg_control_op, work);
	struct vinteg *dev = op->dev;

	op->ret = vinteg_control_run(dev, op->fn, op->arg);
	vinteg_put(dev);
	complete(&op->completion);
	kref_put(&op->ref, vinteg_control_op_release);
}

/**
 * vinteg_control() - run an operation that changes a device
 * @dev: the device; the caller keeps it from going away until this returns
 * @fn: the operation; called exactly once, with the control mutex held
 * @arg: passed to @fn; must not be on the caller's stack, for @fn may outlive
 *	the caller
 *
 * Context: process; sleeps.  No lock may be held that @fn takes.
 * Return: what @fn returned, or -EINTR if the caller was killed meanwhile.
 */
int vinteg_control(struct vinteg *dev, vinteg_control_fn fn, void *arg)
{
	struct vinteg_control_op *op = kzalloc_obj(struct vinteg_control_op);
	int ret;

	/* Out of memory: works too, but the caller can't be killed. */
	if (!op)
		return vinteg_control_run(dev, fn, arg);

	INIT_WORK(&op->work, vinteg_control_work);
	init_completion(&op->completion);
	kref_init(&op->ref);
	kref_get(&op->ref);
	vinteg_get(dev);
	op->dev = dev;
	op->fn = fn;
	op->arg = arg;
	queue_work(vinteg_control_wq, &op->work);

	if (wait_for_completion_killable(&op->completion))
		ret = -EINTR;
	else
		ret = op->ret;
	kref_put(&op->ref, vinteg_control_op_release);
	return ret;
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
