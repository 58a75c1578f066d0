// The calendar of the system, which nobody in a simulated world may read: two runs of one seed
// would differ.
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace std::chrono {
inline namespace _V2 {

system_clock::time_point system_clock::now() noexcept {
    std::fputs("simulation: something asked the system for the time of day\n", stderr);
    std::abort();
}

}  // namespace _V2
}  // namespace std::chrono
