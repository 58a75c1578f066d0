// Runs a fuzz target over files, without a fuzzer: `fuzz_replay TARGET FILE-OR-DIRECTORY...`.
//
// All targets are in this one program, each under a name of its own (CMakeLists.txt).
#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <unistd.h>

#define TARGET(name) extern "C" int fuzz_##name(const std::uint8_t*, std::size_t);
#include "targets.inc"
#undef TARGET

// Where the sanitizers are linked in.
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

namespace {

struct Target {
    const char* name;
    int (*run)(const std::uint8_t*, std::size_t);
};
constexpr Target kTargets[] = {
#define TARGET(name) {#name, fuzz_##name},
#include "targets.inc"
#undef TARGET
};

std::string current;

void say_which() {
    const std::string line = "while running " + current + "\n";
    if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

std::vector<std::filesystem::path> files_in(const std::filesystem::path& place) {
    std::vector<std::filesystem::path> files;
    if (!std::filesystem::is_directory(place)) return {place};
    for (const auto& entry : std::filesystem::directory_iterator(place)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

int main(int argc, char** argv) {
    const auto* target =
        argc < 3 ? std::end(kTargets)
                 : std::find_if(std::begin(kTargets), std::end(kTargets), [&](const Target& known) {
                       return std::strcmp(known.name, argv[1]) == 0;
                   });
    if (target == std::end(kTargets)) {
        std::fprintf(stderr, "usage: %s TARGET FILE-OR-DIRECTORY...\ntargets:", argv[0]);
        for (const Target& known : kTargets) std::fprintf(stderr, " %s", known.name);
        std::fprintf(stderr, "\n");
        return 2;
    }
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(say_which);
    std::signal(SIGABRT, [](int) { say_which(); });

    target->run(nullptr, 0);
    std::size_t count = 0;
    for (int i = 2; i < argc; ++i) {
        for (const auto& file : files_in(argv[i])) {
            current = file.string();
            std::ifstream in(file, std::ios::binary);
            std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
            if (!in) {
                std::fprintf(stderr, "%s cannot be read\n", current.c_str());
                return 1;
            }
            // An exact copy, so that the sanitizer sees a byte read behind its end.
            const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
            target->run(input.data(), input.size());
            ++count;
        }
    }
    std::printf("%s: %zu inputs\n", target->name, count);
    // An empty corpus would prove nothing.
    return count == 0 ? 1 : 0;
}
