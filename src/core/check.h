// Stops the program when it is wrong about itself.
#pragma once

namespace postrider {

/// Says which condition was violated, where, and aborts.
[[noreturn]] void check_violated(const char* condition, const char* file, int line);

}  // namespace postrider

/// States what must be true here if our program is right. Never for input from outside: the queue
/// is durable and leases are recovered at start, so stopping is safe where carrying on is not.
#define POSTRIDER_CHECK(condition) \
    ((condition) ? (void)0 : ::postrider::check_violated(#condition, __FILE__, __LINE__))
