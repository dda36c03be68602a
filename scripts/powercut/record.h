/* SPDX-License-Identifier: GPL-2.0 */
/* A record: what the demo's writer appends and its checker looks for. */
#ifndef RECORD_H
#define RECORD_H

#include "stamp.h"

#define RECORD_SECTORS	8
#define RECORD_SIZE	(RECORD_SECTORS * SECTOR_SIZE)

#endif
