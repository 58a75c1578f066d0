#include "message/address_list.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "core/ascii.h"

namespace postrider::message {
namespace {

// RFC 822's specials, and the operators of other worlds that Postfix reads in addresses.
constexpr CharSet kOperators("|%!()<>@,;:\\\".[]");
constexpr CharSet kBlanks(" \t\r\n");

bool is_operator(char c) {
    return kOperators.has(c);
}

bool is_blank(char c) {
    return kBlanks.has(c);
}

/// Part of an atom, and nothing more to be said.
bool is_plain(char c) {
    return !is_operator(c) && !is_ascii_control(c) && c != ' ';
}

/// What reads again as `text` up to `end`.
void append_delimited(std::string& to, std::string_view text, char begin, char end) {
    to += begin;
    for (const char c : text) {
        if (c == end || c == '\\' || c == '\r') to += '\\';
        to += c;
    }
    to += end;
}

/// What had quotes or backslashes is written without them. There, a literal with something beside
/// it would be two words, and a colon would begin a group.
bool reads_again(std::string_view domain) {
    if (domain.starts_with('[')) return domain.find(']') == domain.size() - 1;
    return domain.find_first_of("[]:") == domain.npos;
}

bool is_usable(const mail::Address& address) {
    return address.local_part.size() + address.domain.size() < kAddressLengthMax &&
           reads_again(address.domain) &&
           std::none_of(address.local_part.begin(), address.local_part.end(), is_ascii_control) &&
           mail::is_domain_text(address.domain);
}

}  // namespace

/// Cuts the text into tokens, from left to right.
class AddressList::Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    std::optional<Token> next() {
        for (;;) {
            while (!done() && is_blank(text_[at_])) ++at_;
            if (done()) return std::nullopt;
            const char c = text_[at_];
            if (c == '(') return Token{Kind::Comment, 0, comment()};
            if (c == '"') return Token{Kind::Quoted, 0, delimited('"')};
            if (c == '[') return Token{Kind::Literal, 0, delimited(']')};
            if (c != '\\' && is_operator(c)) {
                ++at_;
                return Token{Kind::Operator, c};
            }
            // A backslash before nothing but the end of the line is no word.
            if (Token word = atom(); !word.text.empty()) return word;
        }
    }

private:
    bool done() const { return at_ >= text_.size(); }

    // A comment stays as it is written, but for the folding.
    std::string comment() {
        std::string value;
        int depth = 0;
        while (!done()) {
            const char c = text_[at_++];
            // With nothing behind it, it would escape the parenthesis that is added.
            if (c == '\\' && done()) break;
            if (c != '\n') value += c;
            if (c == '\\') value += text_[at_++];
            if (c == '(') ++depth;
            if (c == ')' && --depth == 0) return value;
        }
        value.append(static_cast<std::size_t>(depth), ')');
        return value;
    }

    std::string delimited(char end) {
        std::string value;
        ++at_;
        while (!done()) {
            char c = text_[at_++];
            if (c == end) break;
            if (c == '\\' && !done()) c = text_[at_++];
            if (c != '\n') value += c;
        }
        return value;
    }

    Token atom() {
        Token token{Kind::Atom};
        while (!done()) {
            const std::size_t begin = at_;
            while (!done() && is_plain(text_[at_])) ++at_;
            token.text += text_.substr(begin, at_ - begin);
            if (done()) break;
            char c = text_[at_];
            if (is_blank(c) || (c != '\\' && is_operator(c))) break;
            ++at_;
            if (c == '\\') {
                if (done()) break;
                c = text_[at_++];
                if (c == '\n') continue;
            }
            if (is_ascii_control(c) || is_operator(c) || c == ' ') token.kind = Kind::Quoted;
            token.text += c;
        }
        return token;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

/// Finds the addresses among the tokens, from right to left: only the `>` tells that what stands
/// before the `<` is a phrase, and only the `;` that what stands before the `:` is a group's name.
/// What it has passed is collected in reverse.
class AddressList::Parser {
public:
    Parser(std::vector<Token> tokens, std::vector<mail::Address>& addresses)
        : tokens_(std::move(tokens)), addresses_(addresses) {
        passed_.reserve(tokens_.size());
        address_.reserve(8);  // ann @ mail . desk . example
    }

    std::vector<Token> run() {
        while (more()) {
            if (last().kind == Kind::Comment) {
                pass();
            } else if (last().is(';')) {
                close_address(true);
                pass();
                in_group_ = true;
                word_allowed_ = true;
            } else if (last().is(':') && in_group_) {
                close_address(false);
                last().kind = Kind::GroupStart;
                while (more() && !last().is(',')) pass();
            } else if (last().is('>')) {
                angle_address();
            } else if (last().is_word()) {
                if (!word_allowed_) close_address(true);
                word_allowed_ = false;
                take();
            } else if (last().is(',')) {
                close_address(false);
                pass();
                word_allowed_ = true;
            } else {
                word_allowed_ = true;
                take();
            }
        }
        close_address(false);
        std::reverse(passed_.begin(), passed_.end());
        std::reverse(addresses_.begin(), addresses_.end());
        for (Token& token : passed_) {
            if (token.kind == Kind::Address) token.index = addresses_.size() - 1 - token.index;
        }
        return std::move(passed_);
    }

private:
    bool more() const { return !tokens_.empty(); }
    Token& last() { return tokens_.back(); }
    void pass() {
        passed_.push_back(std::move(tokens_.back()));
        tokens_.pop_back();
    }
    void take() {
        address_.push_back(std::move(tokens_.back()));
        tokens_.pop_back();
    }

    void angle_address() {
        close_address(true);
        pass();
        while (more() && !last().is('<')) {
            if (last().kind == Kind::Comment) {
                pass();
            } else {
                take();
            }
        }
        close_address(false);
        const auto ends_phrase = [](const Token& t) {
            return t.is('>') || t.is(';') || t.is(',') || t.is(':');
        };
        while (more() && !ends_phrase(last())) pass();
        // Outside a group the colon belongs to an address, which must not become part of the phrase
        // when it is written with quotes.
        if (more() && last().is(':') && !in_group_) passed_.push_back(Token{Kind::Operator, ','});
        word_allowed_ = true;
    }

    /// The words taken since the last address are one; what follows it wants a comma if there is
    /// none.
    void close_address(bool missing_comma) {
        if (address_.empty()) return;
        std::reverse(address_.begin(), address_.end());
        mail::Address address = without_route(address_);
        if (address.is_null()) {
            // A lone `@` or `""`: no address, and left as it stands.
            std::move(address_.rbegin(), address_.rend(), std::back_inserter(passed_));
        } else {
            passed_.push_back(Token{Kind::Address, 0, {}, addresses_.size()});
            addresses_.push_back(std::move(address));
        }
        address_.clear();
        if (missing_comma) passed_.push_back(Token{Kind::Operator, ','});
    }

    // RFC 5321 appendix C: the route in `@a,@b:user@c` means nothing any more.
    static mail::Address without_route(const std::vector<Token>& words) {
        auto first = words.begin();
        if (first->is('@')) {
            const auto colon =
                std::find_if(first, words.end(), [](const Token& t) { return t.is(':'); });
            if (colon != words.end() && std::next(colon) != words.end()) first = std::next(colon);
        }
        auto at = words.end();
        for (auto word = first; word != words.end(); ++word) {
            if (word->is('@')) at = word;
        }
        mail::Address address;
        for (auto word = first; word != words.end(); ++word) {
            if (word == at) continue;
            append(word < at ? address.local_part : address.domain, *word);
        }
        return address;
    }

    static void append(std::string& text, const Token& token) {
        if (token.kind == Kind::Literal) {
            text.append("[").append(token.text).append("]");
        } else if (token.kind == Kind::Operator) {
            text += token.op;
        } else {
            text += token.text;
        }
    }

    std::vector<Token> tokens_;   ///< Not yet looked at; the next is at the end.
    std::vector<Token> address_;  ///< Words of the address being read, in reverse.
    std::vector<Token> passed_;   ///< Done with, in reverse.
    std::vector<mail::Address>& addresses_;
    bool word_allowed_ = true;  ///< A word would belong to the address being read.
    bool in_group_ = false;
};

AddressList::AddressList(std::string_view text, std::size_t token_limit) {
    Reader reader(text);
    std::vector<Token> tokens;
    // As many as a few addresses with their names have.
    tokens.reserve(std::min<std::size_t>(text.size() / 2 + 1, 32));
    while (tokens.size() < token_limit) {
        auto token = reader.next();
        if (!token) break;
        tokens.push_back(std::move(*token));
    }
    tokens_ = Parser(std::move(tokens), addresses_).run();
    well_formed_ = std::all_of(addresses_.begin(), addresses_.end(), is_usable);
}

void AddressList::replace(std::size_t index, mail::Address address) {
    addresses_[index] = std::move(address);
}

std::string AddressList::text() const {
    std::string result;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
        const Token& token = tokens_[i];
        switch (token.kind) {
            case Kind::Atom:
            case Kind::Comment:
                result += token.text;
                break;
            case Kind::Quoted:
                append_delimited(result, token.text, '"', '"');
                break;
            case Kind::Literal:
                append_delimited(result, token.text, '[', ']');
                break;
            case Kind::Operator:
                result += token.op;
                if (token.op == ',') {
                    result += '\n';
                    continue;
                }
                break;
            case Kind::GroupStart:
                result += ':';
                break;
            case Kind::Address:
                result += mail::external(addresses_[token.index]);
                break;
        }
        if (i + 1 < tokens_.size() && wants_space(token, tokens_[i + 1])) result += ' ';
    }
    return result;
}

bool AddressList::wants_space(const Token& token, const Token& next) {
    const auto is_operator = [](const Token& t) {
        return t.kind == Kind::Operator || t.kind == Kind::GroupStart;
    };
    return token.kind == Kind::GroupStart || next.is('<') ||
           (!is_operator(token) && !is_operator(next));
}

std::vector<mail::Address> parse_address_list(std::string_view text) {
    const AddressList list(text);
    std::vector<mail::Address> result;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (is_usable(list.address(i))) result.push_back(list.address(i));
    }
    return result;
}

}  // namespace postrider::message
