// What process.bpf.c hands to bpf_backend.cc. Plain C, because one side is compiled for the kernel.
#pragma once

#include <linux/types.h>

// What one thread used since its start, and what those threads of its process used that have ended.
// Nanoseconds.
struct idlewatt_use {
  __u64 run_ns;
  __u64 user_ns;    // user and system are in the ratio that the kernel's ticks found; only their
  __u64 system_ns;  // ratio is used
};

// The iterator writes one record for every thread: of its first thread the long one, of the others
// the head only.
struct idlewatt_thread {
  __u32 pid;    // of the process
  __u32 bytes;  // of this record
  struct idlewatt_use own;
  struct idlewatt_use ended;
};

struct idlewatt_process {
  struct idlewatt_thread head;
  __u64 start_ns;  // boot clock
  __s64 rss_pages;
  __u32 parent;
  __u32 session;
  __u32 flags;  // PF_*
  __u32 state;  // TASK_* and EXIT_*
  __u32 threads;
  char comm[16];
  __u32 unused;
};

// Whose use it was that ended. A process which began before the last scan has an entry of its own,
// because the scan has counted a part of it. All others are summed up by their ancestor.
struct idlewatt_ended_key {
  __u64 start_ns;           // of the process; 0 in a sum
  __u64 ancestor_start_ns;  // of the nearest ancestor that began before the last scan
  __u32 pid;                // 0 in a sum
  __u32 ancestor;           // 0: not known
  __u32 session;
  __u32 unused;
};

enum {
  IDLEWATT_MAX_ENDED = 32768,
  IDLEWATT_MAX_EXITING = 16384,
};
