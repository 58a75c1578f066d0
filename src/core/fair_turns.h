// Whose turn it is when many want the same and one has much more to ask for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace postrider {

/// Gives each request a place in line; the lowest is served first. A party's requests stand one
/// turn apart, and the first of them at the place that is being served: so parties take turns,
/// however many requests one of them has (start-time fair queueing, Goyal 1996). Costs one look-up.
class FairTurns {
public:
    /// Places between two requests of one party.
    static constexpr std::int64_t kTurn = 1000;
    /// Parties remembered. Beyond that all are forgotten, and begin at the place served.
    static constexpr std::size_t kPartiesMax = 10'000;

    /// `served`: where the line begins.
    explicit FairTurns(std::int64_t served = 0) : served_(served) {}

    std::int64_t place(const std::string& party);
    /// The request in this place is being served.
    void serve(std::int64_t place);

private:
    std::int64_t served_;
    std::unordered_map<std::string, std::int64_t> next_;
};

}  // namespace postrider
