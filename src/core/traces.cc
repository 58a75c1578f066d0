#include "core/traces.h"

#include <array>

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if __has_attribute(zero_call_used_regs)
#define POSTRIDER_LEAVES_NO_REGISTERS [[gnu::noinline, gnu::zero_call_used_regs("all")]]
#else
#define POSTRIDER_LEAVES_NO_REGISTERS [[gnu::noinline]]
#endif

namespace postrider {
namespace {

POSTRIDER_LEAVES_NO_REGISTERS void wipe_registers() {}

#if defined(__x86_64__)

// The compiler's way knows 16 registers of 16 bytes; the C library copies by 32 of 64, where there
// are. The processor is told that their state is the first one (Intel's manual, volume 1, 13.8).
[[gnu::noinline, gnu::target("xsave")]] void wipe_wide_registers() {
    constexpr unsigned long long kVectors = 0b1110'0110;  // SSE, AVX, AVX-512's three.
    constexpr std::size_t kMxcsr = 24;
    alignas(64) std::array<unsigned char, 512 + 64> state{};
    const unsigned int control = _mm_getcsr();
    ::memcpy(state.data() + kMxcsr, &control, sizeof control);
    _xrstor64(state.data(), kVectors & _xgetbv(0));
}

bool has_wide_registers() {
    return __builtin_cpu_supports("avx") != 0;
}

#else

void wipe_wide_registers() {}
bool has_wide_registers() {
    return false;
}

#endif

[[gnu::noinline]] void wipe_stack() {
    std::array<char, kTracesDepth> below;
    ::explicit_bzero(below.data(), below.size());
}

}  // namespace

void wipe_traces() {
    wipe_registers();
    if (has_wide_registers()) wipe_wide_registers();
    wipe_stack();
}

}  // namespace postrider
