#include "core/wiped_frees.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include <malloc.h>
#include <string.h>

#include "core/traces.h"

namespace postrider {
namespace {

std::atomic<int> wipers{0};

}  // namespace

WipedFrees::WipedFrees() {
    wipers.fetch_add(1, std::memory_order_relaxed);
}

WipedFrees::~WipedFrees() {
    wipers.fetch_sub(1, std::memory_order_relaxed);
    wipe_traces();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

void give_back(void* memory) noexcept {
    if (memory != nullptr && wipers.load(std::memory_order_relaxed) > 0) {
        ::explicit_bzero(memory, ::malloc_usable_size(memory));
    }
    std::free(memory);
}

}  // namespace

}  // namespace postrider

void operator delete(void* memory) noexcept {
    postrider::give_back(memory);
}
void operator delete[](void* memory) noexcept {
    postrider::give_back(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    postrider::give_back(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    postrider::give_back(memory);
}

#else

}  // namespace postrider

#endif
