/* SPDX-License-Identifier: GPL-2.0 */
/* What the driver says. */
#ifndef VINTEG_LOG_H
#define VINTEG_LOG_H

#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/string.h>

#define VINTEG_MAX_LOGGED	200

bool vinteg_may_log(struct ratelimit_state *rs);

/*
 * Like pr_err_ratelimited(), which tells of suppressed lines at the level of a
 * warning.
 */
#define vinteg_err_limited(fmt, ...)					\
({									\
	static struct ratelimit_state _rs =				\
		RATELIMIT_STATE_INIT_FLAGS(_rs,				\
					   DEFAULT_RATELIMIT_INTERVAL,	\
					   DEFAULT_RATELIMIT_BURST,	\
					   RATELIMIT_MSG_ON_RELEASE);	\
									\
	if (vinteg_may_log(&_rs))					\
		pr_err(fmt, ##__VA_ARGS__);				\
})

/*
 * The part of a name that a line of the log has room for, after %*pE has made
 * up to four characters of each.
 */
static inline const char *vinteg_name_end(const char *name)
{
	size_t len = strlen(name);

	return name + (len > VINTEG_MAX_LOGGED ? len - VINTEG_MAX_LOGGED : 0);
}

#define vinteg_err(dev, fmt, ...) \
	vinteg_err_limited("%s: " fmt, (dev)->disk->disk_name, ##__VA_ARGS__)
#define vinteg_warn(dev, fmt, ...) \
	pr_warn("%s: " fmt, (dev)->disk->disk_name, ##__VA_ARGS__)
#define vinteg_info(dev, fmt, ...) \
	pr_info("%s: " fmt, (dev)->disk->disk_name, ##__VA_ARGS__)

#endif /* VINTEG_LOG_H */
