// Text that must not be seen: passwords, tokens, and what is made of them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postrider {

/// A text that wipes its memory when it goes, and when it moves. It cannot be printed, compared
/// or converted by accident; reveal() is the one way in, and easy to search for.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string_view text) { append(text); }
    /// Takes the text over and wipes the source.
    static Secret take(std::string& text);

    Secret(const Secret&);
    Secret& operator=(const Secret&);
    Secret(Secret&&) noexcept;
    Secret& operator=(Secret&&) noexcept;
    ~Secret();

    /// Valid until the secret changes or goes. Never into a log, an error, or a std::string that
    /// stays.
    std::string_view reveal() const { return {text_, size_}; }
    bool empty() const { return size_ == 0; }
    std::size_t size() const { return size_; }
    void append(std::string_view text);
    void clear();

private:
    char* text_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

/// Overwrites memory in a way the compiler may not leave out.
void wipe(std::string& text);

}  // namespace postrider
