// Where our own probes and scrapes of a service come from, so that they do not count as its use.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace idlewatt {

// 127.73.87.84 (I, W, T). All of 127.0.0.0/8 is this machine, without any set-up.
inline constexpr uint32_t kOwnIpv4Address = 0x7F495754;
// IPv6 has one loopback address, so there a range of ports is ours. It lies below the ports that
// the kernel gives to clients (net.ipv4.ip_local_port_range, from 32768).
inline constexpr uint16_t kOwnIpv6FirstPort = 28224;
inline constexpr uint16_t kOwnIpv6Ports = 64;

// Binds a TCP socket to our own address, before it connects to a service of this machine: an IPv4
// socket to 127.73.87.84, an IPv6 socket, which is for ::1 only, to one of our ports there.
// kTransient when every one of them is taken.
Result<void> BindOwnAddress(int fd);

// Is this end of a connection ours? `address` is 4 bytes, or 16 of IPv6 (of an IPv4 address in
// IPv6 too), in network order; the port is that of the same end.
bool IsOwnAddress(std::string_view address, uint16_t port);

}  // namespace idlewatt
