/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VINTEG_SUBMITTER_H
#define VINTEG_SUBMITTER_H

#include <linux/blkdev.h>

#include "compat.h"

struct vinteg_cmd;

/**
 * struct vinteg_submitter - what a submitter was about before it came here
 * @list: requests that are handled at once, those that follow; NULL for one
 * @entered: the members below are in use
 * @bio_list: bios that its submission has to send on
 * @outer_plug: its plug
 * @plug: collects what goes to the lower disk meanwhile, if there is @list
 * @memflags: its allocation scope
 */
struct vinteg_submitter {
	VINTEG_RQ_LIST *list;
	bool entered;
	struct bio_list *bio_list;
	struct blk_plug *outer_plug;
	struct blk_plug plug;
	unsigned int memflags;
};

void vinteg_submitter_begin(struct vinteg_submitter *sub, VINTEG_RQ_LIST *list);
bool vinteg_submitter_enter(struct vinteg_submitter *sub,
			    struct vinteg_cmd *cmd);
void vinteg_submitter_end(struct vinteg_submitter *sub);

#endif /* VINTEG_SUBMITTER_H */
