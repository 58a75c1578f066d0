#include "core/traces.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "core/unique_fd.h"

namespace postrider {
namespace {

constexpr std::string_view kSecret = "wpf-canary-trace";  // As long as the shortest register.
constexpr std::size_t kStackSize = 1024 * 1024;

// The test's own texts must not be found: they lie outside of the thread's stack.
std::string source;
std::string target;

// Copied by way of registers, as wide as they are here, and left in a local array that is
// larger than what a signal puts onto the stack.
[[gnu::noinline]] void handle_the_secret() {
    volatile char local[16 * 1024];
    for (std::size_t i = 0; i < sizeof local; ++i) local[i] = source[i % source.size()];
    std::memcpy(target.data(), source.data(), source.size());
}

/// What a signal puts onto the stack are the registers.
void forget_nothing() {
    ::raise(SIGUSR1);
}

void forget_all() {
    wipe_traces();
    ::raise(SIGUSR1);
}

/// How often the secret is on the stack of a thread that handled it and did `then`.
std::ptrdiff_t traces_after(void (*then)()) {
    source.clear();
    for (int i = 0; i < 64; ++i) source += kSecret;
    target.assign(source.size(), '\0');
    struct sigaction ignore {};
    ignore.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &ignore, nullptr);

    void* memory = nullptr;
    EXPECT_EQ(::posix_memalign(&memory, 4096, kStackSize), 0);
    std::memset(memory, 0, kStackSize);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    EXPECT_EQ(::pthread_attr_setstack(&attributes, memory, kStackSize), 0);
    const auto run = [](void* what) -> void* {
        handle_the_secret();
        reinterpret_cast<void (*)()>(what)();
        return nullptr;
    };
    pthread_t thread{};
    EXPECT_EQ(::pthread_create(&thread, &attributes, run, reinterpret_cast<void*>(then)), 0);
    ::pthread_join(thread, nullptr);
    ::pthread_attr_destroy(&attributes);

    // Read as a stranger does, since nobody may read what a function left on its stack.
    std::string stack(kStackSize, '\0');
    const UniqueFd self(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(::pread(self.get(), stack.data(), stack.size(), reinterpret_cast<off_t>(memory)),
              static_cast<ssize_t>(stack.size()));
    std::ptrdiff_t found = 0;
    for (auto at = stack.find(kSecret); at != stack.npos; at = stack.find(kSecret, at + 1)) ++found;
    std::free(memory);
    return found;
}

TEST(Traces, OfASecretAreWiped) {
    EXPECT_EQ(traces_after(forget_all), 0);
}

TEST(Traces, ControlThatTheyAreFoundUnlessWiped) {
    EXPECT_GT(traces_after(forget_nothing), 0);
}

}  // namespace
}  // namespace postrider
