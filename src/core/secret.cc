#include "core/secret.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <string.h>

namespace postrider {

void wipe(std::string& text) {
    ::explicit_bzero(text.data(), text.size());
    text.clear();
}

Secret Secret::take(std::string& text) {
    Secret secret(text);
    wipe(text);
    return secret;
}

Secret::Secret(const Secret& other) {
    append(other.reveal());
}

Secret& Secret::operator=(const Secret& other) {
    if (this != &other) {
        Secret copy(other);
        *this = std::move(copy);
    }
    return *this;
}

Secret::Secret(Secret&& other) noexcept
    : text_(std::exchange(other.text_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        clear();
        text_ = std::exchange(other.text_, nullptr);
        size_ = std::exchange(other.size_, 0);
        capacity_ = std::exchange(other.capacity_, 0);
    }
    return *this;
}

Secret::~Secret() {
    clear();
}

void Secret::append(std::string_view text) {
    if (text.empty()) return;
    if (size_ + text.size() > capacity_) {
        // Grown by hand: a std::string would leave its old buffer, and its small one, unwiped.
        const std::size_t capacity = std::max(size_ + text.size(), 2 * capacity_);
        auto* grown = new char[capacity];
        if (size_ > 0) std::memcpy(grown, text_, size_);
        std::memcpy(grown + size_, text.data(), text.size());
        const std::size_t size = size_ + text.size();
        clear();
        text_ = grown;
        size_ = size;
        capacity_ = capacity;
        return;
    }
    std::memcpy(text_ + size_, text.data(), text.size());
    size_ += text.size();
}

void Secret::clear() {
    if (text_ != nullptr) ::explicit_bzero(text_, capacity_);
    delete[] text_;
    text_ = nullptr;
    size_ = capacity_ = 0;
}

}  // namespace postrider
