// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The programs that run in the kernel for bpf_backend.cc: an iterator that tells of every thread,
// and two hooks that keep what processes had used when they ended. They read, they change nothing.
//
// The structs below name only the fields that are used; where those lie in the running kernel is
// found when the programs are loaded (CO-RE). Where kernels differ, both forms stand here.
#include <linux/bpf.h>
// After linux/bpf.h
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <stdbool.h>

#include "collector/process/process_bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct upid {
  int nr;
};
struct pid {
  struct upid numbers[1];
};

enum { PIDTYPE_SID_SINCE_4_19 = 3 };

struct signal_struct {
  int nr_threads;
  __u64 utime;
  __u64 stime;
  unsigned long long sum_sched_runtime;
  struct pid *pids[4];
};

struct sched_entity {
  __u64 sum_exec_runtime;
};

struct percpu_counter {
  __s64 count;
};
struct mm_struct {  // since 6.2
  struct percpu_counter rss_stat[4];
};
typedef struct {
  __s64 counter;
} atomic_long_t;
struct mm_rss_stat {
  atomic_long_t count[4];
};
struct mm_struct___before_6_2 {
  struct mm_rss_stat rss_stat;
};

struct task_struct {
  unsigned int __state;
  unsigned int flags;
  int exit_state;
  int pid;
  int tgid;
  struct sched_entity se;
  struct mm_struct *mm;
  struct task_struct *real_parent;
  struct task_struct *group_leader;
  struct signal_struct *signal;
  __u64 utime;
  __u64 stime;
  __u64 start_boottime;
  char comm[16];
};
struct task_struct___before_5_14 {
  long state;
};

struct seq_file;
struct bpf_iter_meta {
  struct seq_file *seq;
  __u64 seq_num;
};
struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
};

#pragma clang attribute pop

enum {
  MM_FILEPAGES = 0,
  MM_ANONPAGES = 1,
  MM_SHMEMPAGES = 3,
  MAX_GENERATIONS = 32,
};

// When the last scan began, on the boot clock. It counts exactly the processes that began before.
__u64 scan_began_ns;

struct exiting {
  __u64 ancestor_start_ns;
  __u32 ancestor;
  __u32 session;
};

// By the address of the task: from the moment it begins to exit until the kernel frees it.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, IDLEWATT_MAX_EXITING);
  __type(key, __u64);
  __type(value, struct exiting);
} exiting_tasks SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, IDLEWATT_MAX_ENDED);
  __type(key, struct idlewatt_ended_key);
  __type(value, struct idlewatt_use);
} ended SEC(".maps");

// What `ended` had no room for, of processes that no scan had counted: one sum.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct idlewatt_use);
} lost SEC(".maps");

static __always_inline void take_thread(struct task_struct *task, struct idlewatt_use *use) {
  use->run_ns = task->se.sum_exec_runtime;
  use->user_ns = task->utime;
  use->system_ns = task->stime;
}

static __always_inline void take_ended_threads(struct signal_struct *signal,
                                               struct idlewatt_use *use) {
  use->run_ns = signal->sum_sched_runtime;
  use->user_ns = signal->utime;
  use->system_ns = signal->stime;
}

static __always_inline __u32 session_of(struct signal_struct *signal) {
  struct pid *session = signal->pids[PIDTYPE_SID_SINCE_4_19];
  return session ? session->numbers[0].nr : 0;
}

static __always_inline __s64 resident_pages(struct task_struct *task) {
  struct mm_struct *mm = task->mm;
  if (!mm) return 0;
  // Asked of a field: for a structure that is not there at all, libbpf would go through the types of
  // the modules, which takes CAP_SYS_ADMIN.
  struct mm_struct___before_6_2 *old = (void *)mm;
  if (bpf_core_field_exists(old->rss_stat.count)) {
    return BPF_CORE_READ(old, rss_stat.count[MM_FILEPAGES].counter) +
           BPF_CORE_READ(old, rss_stat.count[MM_ANONPAGES].counter) +
           BPF_CORE_READ(old, rss_stat.count[MM_SHMEMPAGES].counter);
  }
  return mm->rss_stat[MM_FILEPAGES].count + mm->rss_stat[MM_ANONPAGES].count +
         mm->rss_stat[MM_SHMEMPAGES].count;
}

static __always_inline __u32 state_of(struct task_struct *task) {
  __u32 state = task->exit_state;
  if (bpf_core_field_exists(task->__state)) return state | task->__state;
  struct task_struct___before_5_14 *old = (void *)task;
  return state | (__u32)BPF_CORE_READ(old, state);
}

SEC("iter/task")
int each_thread(struct bpf_iter__task *context) {
  struct bpf_iter_meta *meta = context->meta;
  struct task_struct *task = context->task;
  if (!task) return 0;
  if (meta->seq_num == 0) scan_began_ns = bpf_ktime_get_boot_ns();
  // The next scan tells of it, or the hooks do.
  if (task->group_leader->start_boottime >= scan_began_ns) return 0;

  struct signal_struct *signal = task->signal;
  struct idlewatt_process record = {};
  record.head.pid = task->tgid;
  take_thread(task, &record.head.own);
  take_ended_threads(signal, &record.head.ended);
  if (task->pid != task->tgid) {
    record.head.bytes = sizeof record.head;
    bpf_seq_write(meta->seq, &record.head, sizeof record.head);
    return 0;
  }
  record.head.bytes = sizeof record;
  record.start_ns = task->start_boottime;
  record.rss_pages = resident_pages(task);
  record.parent = task->real_parent->tgid;
  record.session = session_of(signal);
  record.flags = task->flags;
  record.state = state_of(task);
  record.threads = signal->nr_threads;
  __builtin_memcpy(record.comm, task->comm, sizeof record.comm);
  bpf_seq_write(meta->seq, &record, sizeof record);
  return 0;
}

// The parent and the session of a process are known only while it has not been waited for.
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task) {
  if (task->pid != task->tgid) return 0;
  struct exiting value = {};
  value.session = session_of(task->signal);
  struct task_struct *ancestor = task->real_parent;
  for (int i = 0; i < MAX_GENERATIONS; ++i) {
    __u64 start_ns = BPF_CORE_READ(ancestor, group_leader, start_boottime);
    __u32 tgid = BPF_CORE_READ(ancestor, tgid);
    if (start_ns < scan_began_ns || tgid <= 1) {
      value.ancestor = tgid;
      value.ancestor_start_ns = start_ns;
      break;
    }
    ancestor = BPF_CORE_READ(ancestor, real_parent);
  }
  __u64 key = (__u64)task;
  bpf_map_update_elem(&exiting_tasks, &key, &value, BPF_ANY);
  return 0;
}

static __always_inline void add(struct idlewatt_use *sum, const struct idlewatt_use *more) {
  if (!sum) return;
  __sync_fetch_and_add(&sum->run_ns, more->run_ns);
  __sync_fetch_and_add(&sum->user_ns, more->user_ns);
  __sync_fetch_and_add(&sum->system_ns, more->system_ns);
}

// The last word on a process: it was waited for, and all its threads have left their use to it.
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task) {
  __u64 address = (__u64)task;
  if (task->pid != task->tgid) {
    // A first thread loses its number when another thread of its process runs a new program.
    bpf_map_delete_elem(&exiting_tasks, &address);
    return 0;
  }
  struct idlewatt_use use = {};
  take_ended_threads(task->signal, &use);
  struct idlewatt_ended_key key = {};
  struct exiting *known = bpf_map_lookup_elem(&exiting_tasks, &address);
  if (known) {
    key.ancestor = known->ancestor;
    key.ancestor_start_ns = known->ancestor_start_ns;
    key.session = known->session;
    bpf_map_delete_elem(&exiting_tasks, &address);
  }
  if (task->start_boottime < scan_began_ns) {
    key.start_ns = task->start_boottime;
    key.pid = task->tgid;
    bpf_map_update_elem(&ended, &key, &use, BPF_ANY);
    return 0;
  }
  struct idlewatt_use *sum = bpf_map_lookup_elem(&ended, &key);
  if (!sum && bpf_map_update_elem(&ended, &key, &use, BPF_NOEXIST) == 0) return 0;
  // Another CPU was first, or the map is full.
  if (!sum) sum = bpf_map_lookup_elem(&ended, &key);
  __u32 first = 0;
  if (!sum) sum = bpf_map_lookup_elem(&lost, &first);
  add(sum, &use);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
