// For counting instructions: with POSTRIDER_ITERATIONS=N a benchmark runs exactly so often.
#pragma once

#include <cstdlib>

#include <benchmark/benchmark.h>

namespace postrider {

inline void counted(benchmark::internal::Benchmark* benchmark) {
    const char* text = std::getenv("POSTRIDER_ITERATIONS");
    if (text != nullptr) benchmark->Iterations(std::atoi(text));
}

}  // namespace postrider
