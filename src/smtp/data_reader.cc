#include "smtp/data_reader.h"

#include <cstring>

#include "core/check.h"

namespace postrider::smtp {

DataReader::Step DataReader::next(std::string_view input) {
    const char first = input.front();
    switch (state_) {
        case State::LineStart:
            if (first != '.') return inside(input);
            state_ = State::Dot;
            return {{}, 1};
        case State::LooseLineStart:
            if (first != '.') return inside(input);
            state_ = State::Inside;
            return {{}, 1};
        case State::Dot:
            // The dot was stuffing, whatever comes now, unless CRLF does.
            state_ = first == '\r' ? State::DotCr : State::Inside;
            return {{}, first == '\r' ? std::size_t{1} : std::size_t{0}};
        case State::DotCr:
            if (first == '\n') {
                state_ = State::End;
                return {{}, 1};
            }
            state_ = State::InsideCr;
            return {"\r", 0};
        case State::Inside:
        case State::InsideCr:
            return inside(input);
        case State::End:
            break;
    }
    POSTRIDER_CHECK(state_ != State::End);
    return {};
}

/// Runs on to the first line end that a dot follows, which is the only place where something may
/// have to be taken out.
DataReader::Step DataReader::inside(std::string_view input) {
    const char* const begin = input.data();
    const char* const end = begin + input.size();
    bool cr_before = state_ == State::InsideCr;
    for (const char* at = begin; at < end;) {
        const auto* const newline =
            static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(end - at)));
        if (newline == nullptr) break;
        at = newline + 1;
        if (at < end && *at != '.') continue;

        const bool strict = newline > begin ? newline[-1] == '\r' : cr_before;
        state_ = strict ? State::LineStart : State::LooseLineStart;
        const auto length = static_cast<std::size_t>(at - begin);
        return {input.substr(0, length), length};
    }
    state_ = end[-1] == '\r' ? State::InsideCr : State::Inside;
    return {input, input.size()};
}

}  // namespace postrider::smtp
