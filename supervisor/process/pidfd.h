// pidfd_open and pidfd_send_signal. glibc 2.36 declares them without extern "C" (bug 29782), so a
// C++ program that includes <sys/pidfd.h> as it is does not link.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/types.h>

extern "C" {
#include <sys/pidfd.h>
}
