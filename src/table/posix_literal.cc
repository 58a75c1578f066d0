#include "table/posix_literal.h"

#include <cstdint>
#include <optional>
#include <utility>

namespace postrider::table {
namespace {

using Op = PosixInstruction::Op;

/// To find what cannot be avoided takes the square of it in steps.
constexpr std::size_t kProgramMax = 1000;
/// The rest would make it no rarer, but slower to look for: so many looks at each byte at most.
constexpr std::size_t kLengthMax = 32;

/// Can a match avoid the instruction `avoided`?
bool is_avoidable(const PosixProgram& program, std::uint32_t avoided) {
    std::vector<bool> seen(program.code.size());
    std::vector<std::uint32_t> open{program.start};
    while (!open.empty()) {
        const std::uint32_t at = open.back();
        open.pop_back();
        if (at == avoided || seen[at]) continue;
        seen[at] = true;
        const PosixInstruction& instruction = program.code[at];
        if (instruction.op == Op::Match) return true;
        open.push_back(instruction.next);
        if (instruction.op == Op::Split) open.push_back(instruction.other);
    }
    return false;
}

/// The one instruction that takes the byte behind that of `at`, if it is only one.
std::optional<std::uint32_t> byte_behind(const PosixProgram& program, std::uint32_t at) {
    for (;;) {
        at = program.code[at].next;
        switch (program.code[at].op) {
            case Op::Byte:
                return at;
            case Op::Save:
            case Op::Assert:
                break;
            case Op::Match:
            case Op::Split:
            case Op::Repeated:
            case Op::Progress:
                return std::nullopt;
        }
    }
}

}  // namespace

PosixLiteral::PosixLiteral(const PosixProgram& program) {
    if (program.code.size() > kProgramMax) return;
    std::vector<bool> taken(program.code.size());
    for (std::uint32_t at = 0; at < program.code.size(); ++at) {
        if (program.code[at].op != Op::Byte || taken[at] || is_avoidable(program, at)) continue;
        std::vector<ByteSet> row;
        for (std::optional<std::uint32_t> next = at; next && row.size() < kLengthMax;
             next = byte_behind(program, *next)) {
            taken[*next] = true;
            row.push_back(program.sets[program.code[*next].number]);
        }
        if (row.size() > sets_.size()) sets_ = std::move(row);
    }
}

bool PosixLiteral::may_match_in(std::string_view subject) const {
    if (subject.size() < sets_.size()) return false;
    for (std::size_t from = 0; from <= subject.size() - sets_.size(); ++from) {
        std::size_t i = 0;
        while (i < sets_.size() && sets_[i].test(static_cast<unsigned char>(subject[from + i]))) {
            ++i;
        }
        if (i == sets_.size()) return true;
    }
    return false;
}

}  // namespace postrider::table
