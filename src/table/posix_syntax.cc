// Reads POSIX regular expressions, with the C library's extensions to them.
#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <utility>

#include "core/ascii.h"
#include "table/posix_program.h"

namespace postrider::table {
namespace {

using Op = PosixInstruction::Op;
using Place = PosixInstruction::Place;

/// As many as a pattern may become when its repetitions are written out.
constexpr std::size_t kInstructionsMax = 20'000;
constexpr std::size_t kNestingMax = 200;

struct Node;
using NodePtr = std::unique_ptr<Node>;

struct Node {
    enum class Kind { Empty, Bytes, Edge, Group, Repeated, Sequence, Choice, Repeat };
    Kind kind = Kind::Empty;
    ByteSet bytes;
    PosixInstruction::Place place = PosixInstruction::Place::TextStart;
    std::uint32_t group = 0;
    std::size_t min = 0;
    std::optional<std::size_t> max;
    std::vector<NodePtr> parts;
    bool nullable = true;  ///< Whether it can match nothing.
};

NodePtr make(Node::Kind kind) {
    auto node = std::make_unique<Node>();
    node->kind = kind;
    return node;
}

NodePtr make_group(Node::Kind kind, std::uint32_t number) {
    auto node = make(kind);
    node->group = number;
    return node;
}

std::size_t index_of(char c) {
    return static_cast<unsigned char>(c);
}

ByteSet class_named(std::string_view name, bool ignore_case) {
    if (ignore_case && (name == "upper" || name == "lower")) name = "alpha";
    constexpr std::pair<std::string_view, int (*)(int)> kClasses[] = {
        {"alnum", std::isalnum}, {"alpha", std::isalpha}, {"blank", std::isblank},
        {"cntrl", std::iscntrl}, {"digit", std::isdigit}, {"graph", std::isgraph},
        {"lower", std::islower}, {"print", std::isprint}, {"punct", std::ispunct},
        {"space", std::isspace}, {"upper", std::isupper}, {"xdigit", std::isxdigit},
    };
    ByteSet set;
    for (const auto& [known, contains] : kClasses) {
        for (int byte = 0; known == name && byte < 128; ++byte) set[byte] = contains(byte) != 0;
    }
    return set;
}

/// Reads by the grammar: choices of sequences of repeated atoms. What regcomp() refuses is not
/// looked for again.
class Reader {
public:
    Reader(std::string_view text, const PosixFlags& flags) : text_(text), flags_(flags) {}

    Result<NodePtr> read() {
        auto whole = read_choice(0);
        if (too_deep_) return Unexpected(ErrorCode::Limit, "the pattern is nested too deeply");
        return whole;
    }
    std::uint32_t groups() const { return groups_; }

private:
    bool at_end() const { return at_ >= text_.size(); }
    char peek(std::size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }
    /// Whether the operator `c` stands here: bare where that is its way, else behind a backslash.
    bool sees(char c, bool bare) const {
        return bare ? !at_end() && peek() == c
                    : at_ + 1 < text_.size() && peek() == '\\' && peek(1) == c;
    }
    bool sees(char c) const { return sees(c, flags_.extended); }
    bool take(char c) {
        if (!sees(c)) return false;
        at_ += flags_.extended ? 1 : 2;
        return true;
    }
    bool sees_repetition() const { return sees('*', true) || sees('+') || sees('?') || sees('{'); }
    char folded(char c) const { return flags_.ignore_case ? ascii_upper(c) : c; }

    NodePtr read_choice(std::size_t depth) {
        if (depth > kNestingMax) {
            too_deep_ = true;
            at_ = text_.size();
            return make(Node::Kind::Empty);
        }
        auto choice = make(Node::Kind::Choice);
        choice->nullable = false;
        do {
            auto branch = read_sequence(depth);
            choice->nullable = choice->nullable || branch->nullable;
            choice->parts.push_back(std::move(branch));
        } while (take('|'));
        return choice->parts.size() == 1 ? std::move(choice->parts.front()) : std::move(choice);
    }

    NodePtr read_sequence(std::size_t depth) {
        auto sequence = make(Node::Kind::Sequence);
        bool first = true;
        // At the outermost level an extended pattern may have a `)` of its own.
        while (!at_end() && !sees('|') && !(depth > 0 && sees(')'))) {
            auto part = read_repeated(depth, first);
            first = false;
            sequence->nullable = sequence->nullable && part->nullable;
            sequence->parts.push_back(std::move(part));
        }
        return sequence;
    }

    NodePtr read_repeated(std::size_t depth, bool first) {
        auto atom = read_atom(depth, first);
        if (atom->kind == Node::Kind::Edge) return atom;  // These are not repeated.
        while (sees_repetition()) {
            auto repeat = make(Node::Kind::Repeat);
            read_bounds(*repeat);
            repeat->nullable = atom->nullable || repeat->min == 0;
            repeat->parts.push_back(std::move(atom));
            atom = std::move(repeat);
        }
        return atom;
    }

    void read_bounds(Node& repeat) {
        if (sees('*', true)) {
            ++at_;
        } else if (take('+')) {
            repeat.min = 1;
        } else if (take('?')) {
            repeat.max = 1;
        } else if (take('{')) {
            repeat.min = read_number();
            repeat.max = repeat.min;
            if (peek() == ',') {
                ++at_;
                repeat.max.reset();
                if (is_ascii_digit(peek())) repeat.max = read_number();
            }
            take('}');
        }
    }

    std::size_t read_number() {
        std::size_t number = 0;
        // regcomp() takes no more than 32767.
        for (; is_ascii_digit(peek()) && number < 100'000; ++at_) {
            number = number * 10 + static_cast<std::size_t>(peek() - '0');
        }
        return number;
    }

    NodePtr read_atom(std::size_t depth, bool first) {
        if (take('(')) {
            const std::uint32_t number = ++groups_;
            auto group = make_group(Node::Kind::Group, number);
            group->parts.push_back(read_choice(depth + 1));
            group->nullable = group->parts.front()->nullable;
            take(')');
            return group;
        }
        const char c = text_[at_++];
        switch (c) {
            case '\\':
                return read_escape();
            case '.':
                return make_bytes(any_byte());
            case '[':
                return make_bytes(read_bracket());
            case '^':
                if (flags_.extended || first) return make_place(Place::LineStart);
                break;
            case '$':
                if (flags_.extended || at_end() || sees('|') || sees(')')) {
                    return make_place(Place::LineEnd);
                }
                break;
            default:
                break;
        }
        return make_literal(folded(c));
    }

    NodePtr read_escape() {
        const char c = text_[at_++];
        switch (c) {
            case '<':
                return make_place(Place::WordStart);
            case '>':
                return make_place(Place::WordEnd);
            case 'b':
                return make_place(Place::WordEdge);
            case 'B':
                return make_place(Place::NoWordEdge);
            case '`':
                return make_place(Place::TextStart);
            case '\'':
                return make_place(Place::TextEnd);
            case 'w':
            case 'W':
                return make_bytes(words() ^ everything(c == 'W'));
            case 's':
            case 'S':
                return make_bytes(class_named("space", false) ^ everything(c == 'S'));
            default:
                break;
        }
        if (c >= '1' && c <= '9') {
            return make_group(Node::Kind::Repeated, static_cast<std::uint32_t>(c - '0'));
        }
        // Not folded: so the C library has it, for which /\q/ without regard to case matches
        // nothing.
        return make_literal(c);
    }

    static ByteSet everything(bool wanted) { return wanted ? ~ByteSet() : ByteSet(); }
    static ByteSet words() {
        ByteSet set = class_named("alnum", false);
        set.set(index_of('_'));
        return set;
    }
    ByteSet any_byte() const {
        ByteSet set = everything(true);
        set.reset('\0');
        if (flags_.by_lines) set.reset('\n');
        return set;
    }

    NodePtr make_bytes(const ByteSet& set) const {
        auto node = make(Node::Kind::Bytes);
        node->nullable = false;
        node->bytes = set;
        if (!flags_.ignore_case) return node;
        for (char c = 'a'; c <= 'z'; ++c) node->bytes[index_of(c)] = set[index_of(ascii_upper(c))];
        return node;
    }
    NodePtr make_literal(char c) const {
        ByteSet set;
        set.set(index_of(c));
        return make_bytes(set);
    }
    static NodePtr make_place(Place place) {
        auto node = make(Node::Kind::Edge);
        node->place = place;
        return node;
    }

    /// Behind the opening bracket.
    ByteSet read_bracket() {
        const bool negated = peek() == '^';
        if (negated) ++at_;
        ByteSet set;
        for (bool first = true; !at_end() && (first || peek() != ']'); first = false) {
            if (peek() == '[' && peek(1) == ':') {
                set |= class_named(read_symbol(), flags_.ignore_case);
                continue;
            }
            const std::size_t low = read_element();
            std::size_t high = low;
            if (peek() == '-' && peek(1) != ']') {
                ++at_;
                high = read_element();
            }
            for (std::size_t byte = low; byte <= high; ++byte) set.set(byte);
        }
        ++at_;
        if (!negated) return set;
        if (flags_.by_lines) set.set('\n');
        return ~set;
    }

    /// A byte, or `[.x.]` or `[=x=]`: in the C locale each of these is one byte as well.
    std::size_t read_element() {
        if (peek() == '[' && (peek(1) == '.' || peek(1) == '=')) {
            const std::string_view symbol = read_symbol();
            return symbol.empty() ? 0 : index_of(folded(symbol.front()));
        }
        return index_of(folded(text_[at_++]));
    }

    /// What stands in `[:here:]`.
    std::string_view read_symbol() {
        const char end[] = {peek(1), ']'};
        const std::size_t begin = at_ + 2;
        // The mark itself may be the symbol: [.].], [=]=].
        const std::size_t found = text_.find(std::string_view(end, 2), begin + 1);
        const std::size_t close = found == std::string_view::npos ? text_.size() : found;
        at_ = std::min(close + 2, text_.size());
        return text_.substr(begin, close - begin);
    }

    std::string_view text_;
    const PosixFlags& flags_;
    std::size_t at_ = 0;
    std::uint32_t groups_ = 0;
    bool too_deep_ = false;
};

/// Writes the program from its end to its start: each part is told what comes after it.
class Writer {
public:
    explicit Writer(PosixProgram& program) : program_(program) {}

    bool is_full() const { return program_.code.size() > kInstructionsMax; }

    /// The place where `node`, followed by what begins at `next`, begins.
    std::uint32_t write(const Node& node, std::uint32_t next) {
        if (is_full()) return next;
        switch (node.kind) {
            case Node::Kind::Empty:
                return next;
            case Node::Kind::Bytes:
                program_.sets.push_back(node.bytes);
                return add(Op::Byte, program_.sets.size() - 1, next);
            case Node::Kind::Edge: {
                const std::uint32_t at = add(Op::Assert, 0, next);
                program_.code[at].place = node.place;
                return at;
            }
            case Node::Kind::Repeated:
                return add(Op::Repeated, node.group, next);
            case Node::Kind::Group:
                next = add(Op::Save, 2 * node.group + 1, next);
                next = write(*node.parts.front(), next);
                return add(Op::Save, 2 * node.group, next);
            case Node::Kind::Sequence:
                for (auto part = node.parts.rbegin(); part != node.parts.rend(); ++part) {
                    next = write(**part, next);
                }
                return next;
            case Node::Kind::Choice: {
                std::uint32_t at = write(*node.parts.back(), next);
                for (std::size_t i = node.parts.size() - 1; i-- > 0;) {
                    at = split(write(*node.parts[i], next), at);
                }
                return at;
            }
            case Node::Kind::Repeat:
                return write_repeat(node, next);
        }
        return next;
    }

    std::uint32_t add(Op op, std::size_t number, std::uint32_t next) {
        PosixInstruction instruction;
        instruction.op = op;
        instruction.number = static_cast<std::uint32_t>(number);
        instruction.next = next;
        program_.code.push_back(instruction);
        return static_cast<std::uint32_t>(program_.code.size() - 1);
    }

private:
    std::uint32_t split(std::uint32_t next, std::uint32_t other) {
        const std::uint32_t at = add(Op::Split, 0, next);
        program_.code[at].other = other;
        return at;
    }

    std::uint32_t write_repeat(const Node& node, std::uint32_t next) {
        const Node& part = *node.parts.front();
        std::size_t copies = node.min;
        if (!node.max) {
            // a{2,} is aa+; what can match nothing is tried at least once, so that its groups are
            // set: a* is (a+)?.
            const std::uint32_t after = next;
            next = write_loop(part, after);
            if (copies > 0) --copies;
            if (node.min == 0) next = split(next, after);
        } else {
            const std::uint32_t after = next;
            for (std::size_t i = node.min; i < *node.max && !is_full(); ++i) {
                next = split(write(part, next), after);
            }
        }
        for (; copies > 0 && !is_full(); --copies) next = write(part, next);
        return next;
    }

    /// `part` once or more.
    std::uint32_t write_loop(const Node& part, std::uint32_t next) {
        const std::uint32_t again = split(0, next);
        if (!program_.has_repeated || !part.nullable) {
            const std::uint32_t at = write(part, again);
            program_.code[again].next = at;
            return at;
        }
        // Threads that meet are one, but who tracks back must not go round for nothing.
        const std::uint32_t slot = program_.slots++;
        const std::uint32_t progress = add(Op::Progress, slot, 0);
        program_.code[again].next = progress;
        const std::uint32_t at = add(Op::Save, slot, write(part, again));
        program_.code[progress].next = at;
        return at;
    }

    PosixProgram& program_;
};

bool has_repeated(const Node& node) {
    if (node.kind == Node::Kind::Repeated) return true;
    for (const auto& part : node.parts) {
        if (has_repeated(*part)) return true;
    }
    return false;
}

}  // namespace

Result<PosixProgram> read_posix_pattern(std::string_view pattern, const PosixFlags& flags) {
    Reader reader(pattern, flags);
    const auto tree = reader.read();
    if (!tree) return Unexpected(tree.error());
    PosixProgram program;
    program.ignores_case = flags.ignore_case;
    program.by_lines = flags.by_lines;
    program.groups = reader.groups();
    program.slots = 2 * (program.groups + 1);
    program.has_repeated = has_repeated(**tree);
    Writer writer(program);
    const std::uint32_t match = writer.add(Op::Match, 0, 0);
    program.start = writer.write(**tree, match);
    if (writer.is_full()) {
        return Unexpected(ErrorCode::Limit,
                          "the pattern is too long with its repetitions written out");
    }
    return program;
}

}  // namespace postrider::table
