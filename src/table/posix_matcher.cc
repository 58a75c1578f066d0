#include "table/posix_matcher.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/ascii.h"

namespace postrider::table {
namespace {

using Op = PosixInstruction::Op;
using Place = PosixInstruction::Place;

/// Of one alternative after the other, where steps may multiply: as many as PCRE2 is given.
constexpr std::size_t kBacktrackingCost = 50;

constexpr std::size_t kNowhere = std::string_view::npos;
using Slots = std::vector<std::size_t>;

Unexpected out_of_steps() {
    return Unexpected(
        ErrorCode::Limit,
        "step limit exceeded; make the pattern simpler, anchor it with ^, or write it "
        "without back references");
}

bool is_word(char c) {
    return is_ascii_alnum(c) || c == '_';
}

bool holds(Place place, std::string_view subject, std::size_t at, bool by_lines) {
    const bool before = at > 0 && is_word(subject[at - 1]);
    const bool after = at < subject.size() && is_word(subject[at]);
    switch (place) {
        case Place::LineStart:
            return at == 0 || (by_lines && subject[at - 1] == '\n');
        case Place::LineEnd:
            return at == subject.size() || (by_lines && subject[at] == '\n');
        case Place::TextStart:
            return at == 0;
        case Place::TextEnd:
            return at == subject.size();
        case Place::WordStart:
            return !before && after;
        case Place::WordEnd:
            return before && !after;
        case Place::WordEdge:
            return before != after;
        case Place::NoWordEdge:
            return before == after;
    }
    return false;
}

struct Span {
    std::size_t start = kNowhere;
    std::size_t end = kNowhere;
};

/// All alternatives at once, byte by byte: a thread for each instruction that is waiting for a
/// byte, never two for one, the more preferred first.
class Threads {
public:
    Threads(const PosixProgram& program, std::string_view subject, std::size_t steps_max)
        : program_(program),
          subject_(subject),
          steps_max_(steps_max),
          seen_(program.code.size(), kNowhere) {}

    /// The first match, and of those that begin there the longest; any match if `any` is enough.
    Result<std::optional<Span>> search(bool anchored, const std::optional<ByteSet>& first,
                                       bool any) {
        std::optional<Span> best;
        for (std::size_t at = 0;; ++at) {
            if (!best && !(anchored && at > 0)) {
                if (threads_.empty() && first && !anchored) {
                    while (at < subject_.size() && !first->test(byte(at))) ++at;
                }
                follow(program_.start, at, at, nullptr);
            }
            for (std::size_t i = 0; i < threads_.size(); ++i) {
                if (program_.code[threads_[i].at].op != Op::Match) continue;
                best = Span{threads_[i].start, at};
                if (any) return best;
                // Who began later has lost.
                const auto later =
                    std::find_if(threads_.begin(), threads_.end(),
                                 [&](const Thread& thread) { return thread.start > best->start; });
                threads_.erase(later, threads_.end());
            }
            if (steps_ > steps_max_) return out_of_steps();
            if (at >= subject_.size()) return best;
            if (threads_.empty() && (best || anchored)) return best;
            advance(at, nullptr);
        }
    }

    /// Of the ways through `span` the most preferred: its slots.
    Result<Slots> trace(const Span& span) {
        Slots none(program_.slots, kNowhere);
        follow(program_.start, span.start, span.start, &none);
        for (std::size_t at = span.start;; ++at) {
            if (steps_ > steps_max_) return out_of_steps();
            if (at == span.end) break;
            advance(at, &none);
        }
        for (const Thread& thread : threads_) {
            if (program_.code[thread.at].op == Op::Match) return thread.slots;
        }
        return none;
    }

private:
    struct Thread {
        std::uint32_t at = 0;
        std::size_t start = 0;
        Slots slots;
    };
    struct Visit {
        std::uint32_t at = 0;
        /// Not to visit, but to put back: this slot, to what it was.
        std::optional<std::uint32_t> slot;
        std::size_t value = 0;
    };

    unsigned char byte(std::size_t at) const { return static_cast<unsigned char>(subject_[at]); }

    void advance(std::size_t at, Slots* slots) {
        before_.swap(threads_);
        threads_.clear();
        for (Thread& thread : before_) {
            const PosixInstruction& instruction = program_.code[thread.at];
            if (instruction.op != Op::Byte) continue;
            if (!program_.sets[instruction.number].test(byte(at))) continue;
            if (slots) *slots = std::move(thread.slots);
            follow(instruction.next, at + 1, thread.start, slots);
        }
        steps_ += before_.size();
    }

    /// Adds the threads that go on from `begin` without a byte. With `slots` they get copies of it.
    void follow(std::uint32_t begin, std::size_t at, std::size_t start, Slots* slots) {
        // Each position has a mark of its own; of a search's positions each comes once.
        visits_.push_back({begin, std::nullopt, 0});
        while (!visits_.empty()) {
            const Visit visit = visits_.back();
            visits_.pop_back();
            if (visit.slot) {
                (*slots)[*visit.slot] = visit.value;
                continue;
            }
            std::optional<std::uint32_t> next = visit.at;
            while (next && seen_[*next] != at) next = step(*next, at, start, slots);
        }
    }

    /// Where it goes on from one instruction, unless that waits for a byte.
    std::optional<std::uint32_t> step(std::uint32_t here, std::size_t at, std::size_t start,
                                      Slots* slots) {
        seen_[here] = at;
        ++steps_;
        const PosixInstruction& instruction = program_.code[here];
        switch (instruction.op) {
            case Op::Match:
            case Op::Byte:
                threads_.push_back({here, start, slots ? *slots : Slots()});
                if (slots) steps_ += slots->size() / 4;
                return std::nullopt;
            case Op::Split:
                visits_.push_back({instruction.other, std::nullopt, 0});
                return instruction.next;
            case Op::Save:
                if (slots) {
                    auto& slot = (*slots)[instruction.number];
                    visits_.push_back({0, instruction.number, slot});
                    slot = at;
                }
                return instruction.next;
            case Op::Assert:
                if (!holds(instruction.place, subject_, at, program_.by_lines)) return std::nullopt;
                return instruction.next;
            case Op::Progress:
            case Op::Repeated:
                break;  // Of programs with back references, which run in Backtracking.
        }
        return std::nullopt;
    }

    const PosixProgram& program_;
    std::string_view subject_;
    std::size_t steps_max_;
    std::vector<Thread> threads_;
    std::vector<Thread> before_;
    std::vector<Visit> visits_;
    std::vector<std::size_t> seen_;  ///< By instruction: the position at which it was visited last.
    std::size_t steps_ = 0;
};

/// One alternative after the other, for patterns with back references.
class Backtracking {
public:
    Backtracking(const PosixProgram& program, std::string_view subject, std::size_t steps_max)
        : program_(program), subject_(subject), steps_max_(steps_max) {}

    /// The slots of the first match, and of those that begin there the longest; slot 1 is its end.
    Result<std::optional<Slots>> search(bool anchored, bool any) {
        for (std::size_t start = 0; start <= subject_.size(); ++start) {
            if (anchored && start > 0) break;
            auto found = match_at(start, any);
            if (!found || *found) return found;
        }
        return std::optional<Slots>();
    }

private:
    struct Choice {
        std::uint32_t at = 0;
        std::size_t position = 0;
        std::optional<std::uint32_t> slot;  ///< To be put back to `position`.
    };

    Result<std::optional<Slots>> match_at(std::size_t start, bool any) {
        std::optional<Slots> best;
        slots_.assign(program_.slots, kNowhere);
        choices_.assign(1, {program_.start, start, std::nullopt});
        while (!choices_.empty()) {
            const Choice choice = choices_.back();
            choices_.pop_back();
            if (choice.slot) {
                slots_[*choice.slot] = choice.position;
                continue;
            }
            const auto end = run(choice);
            if (steps_ > steps_max_) return out_of_steps();
            if (!end || (best && *end <= (*best)[1])) continue;
            best = slots_;
            (*best)[1] = *end;
            if (any || *end == subject_.size()) break;
        }
        return best;
    }

    /// Goes on until it matches or fails; leaves choices behind.
    std::optional<std::size_t> run(const Choice& choice) {
        std::uint32_t at = choice.at;
        for (std::size_t position = choice.position; ++steps_ <= steps_max_;) {
            const PosixInstruction& instruction = program_.code[at];
            at = instruction.next;
            switch (instruction.op) {
                case Op::Match:
                    return position;
                case Op::Byte:
                    if (position >= subject_.size() || !has(instruction, position)) {
                        return std::nullopt;
                    }
                    ++position;
                    break;
                case Op::Split:
                    choices_.push_back({instruction.other, position, std::nullopt});
                    break;
                case Op::Save:
                    choices_.push_back({0, slots_[instruction.number], instruction.number});
                    slots_[instruction.number] = position;
                    break;
                case Op::Assert:
                    if (!holds(instruction.place, subject_, position, program_.by_lines)) {
                        return std::nullopt;
                    }
                    break;
                case Op::Progress:
                    if (slots_[instruction.number] == position) return std::nullopt;
                    break;
                case Op::Repeated: {
                    const auto length = repeated_length(instruction.number, position);
                    if (!length) return std::nullopt;
                    steps_ += *length / 16;
                    position += *length;
                    break;
                }
            }
        }
        return std::nullopt;
    }

    bool has(const PosixInstruction& instruction, std::size_t position) const {
        return program_.sets[instruction.number].test(
            static_cast<unsigned char>(subject_[position]));
    }

    /// Of the text of `group`, if it stands at `position`.
    std::optional<std::size_t> repeated_length(std::uint32_t group, std::size_t position) const {
        const std::size_t start = slots_[2 * group];
        const std::size_t end = slots_[2 * group + 1];
        if (start == kNowhere || end == kNowhere || end < start) return std::nullopt;
        const std::string_view text = subject_.substr(start, end - start);
        const std::string_view there = subject_.substr(position, text.size());
        const bool same = program_.ignores_case ? equals_ignoring_case(there, text) : there == text;
        return same ? std::optional(text.size()) : std::nullopt;
    }

    const PosixProgram& program_;
    std::string_view subject_;
    std::size_t steps_max_;
    Slots slots_;
    std::vector<Choice> choices_;
    std::size_t steps_ = 0;
};

/// What a program can do before its first byte.
struct Beginning {
    ByteSet first;
    bool may_be_empty = false;
};

Beginning beginning_of(const PosixProgram& program, bool within_text) {
    Beginning beginning;
    std::vector<bool> seen(program.code.size());
    std::vector<std::uint32_t> open{program.start};
    while (!open.empty()) {
        const std::uint32_t at = open.back();
        open.pop_back();
        if (seen[at]) continue;
        seen[at] = true;
        const PosixInstruction& instruction = program.code[at];
        const bool at_start = instruction.op == Op::Assert &&
                              (instruction.place == Place::TextStart ||
                               (instruction.place == Place::LineStart && !program.by_lines));
        if (within_text && at_start) continue;
        if (instruction.op == Op::Byte) {
            beginning.first |= program.sets[instruction.number];
        } else if (instruction.op == Op::Match || instruction.op == Op::Repeated) {
            beginning.may_be_empty = true;
        } else {
            open.push_back(instruction.next);
            if (instruction.op == Op::Split) open.push_back(instruction.other);
        }
    }
    return beginning;
}

}  // namespace

PosixMatcher::PosixMatcher(PosixProgram program, std::size_t steps_max)
    : program_(std::move(program)), steps_max_(steps_max), literal_(program_) {
    const Beginning later = beginning_of(program_, true);
    anchored_ = later.first.none() && !later.may_be_empty;
    const Beginning anywhere = beginning_of(program_, false);
    if (!anywhere.may_be_empty) first_ = anywhere.first;
}

/// What costs next to nothing to find out.
bool PosixMatcher::may_match_in(std::string_view subject) const {
    if (anchored_ && first_) {
        if (subject.empty()) return false;
        if (!first_->test(static_cast<unsigned char>(subject.front()))) return false;
    }
    return literal_.may_match_in(subject);
}

Result<bool> PosixMatcher::match(std::string_view subject, Captures* captures) const {
    if (!may_match_in(subject)) return false;
    Slots slots;
    if (program_.has_repeated) {
        auto found = Backtracking(program_, subject, steps_max_ / kBacktrackingCost)
                         .search(anchored_, captures == nullptr);
        if (!found) return Unexpected(std::move(found).error());
        if (!*found) return false;
        slots = std::move(**found);
    } else {
        const auto span =
            Threads(program_, subject, steps_max_).search(anchored_, first_, captures == nullptr);
        if (!span) return Unexpected(span.error());
        if (!*span) return false;
        if (!captures) return true;
        auto traced = Threads(program_, subject, steps_max_).trace(**span);
        if (!traced) return Unexpected(std::move(traced).error());
        slots = std::move(*traced);
    }
    if (!captures) return true;
    captures->assign(1, subject);
    for (std::size_t group = 1; group <= program_.groups; ++group) {
        const std::size_t start = slots[2 * group];
        const std::size_t end = slots[2 * group + 1];
        const bool taken = start != kNowhere && end != kNowhere && start <= end;
        captures->push_back(taken ? subject.substr(start, end - start) : std::string_view());
    }
    return true;
}

}  // namespace postrider::table
