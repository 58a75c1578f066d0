#include "sasl/plain.h"

#include <string>

namespace postrider::sasl {

namespace {

class Plain final : public Mechanism {
public:
    explicit Plain(const Credentials& credentials) : credentials_(credentials) {}

    std::string_view name() const override { return "PLAIN"; }

    Result<std::optional<Secret>> initial_response() override {
        Secret message(std::string_view("\0", 1));
        message.append(credentials_.user);
        message.append(std::string_view("\0", 1));
        message.append(credentials_.password.reveal());
        complete_ = true;
        return std::optional<Secret>(std::move(message));
    }

    Result<Secret> respond(std::string_view) override {
        return Unexpected(ErrorCode::Protocol, "PLAIN: a challenge after all was said");
    }

    bool is_complete() const override { return complete_; }

private:
    Credentials credentials_;
    bool complete_ = false;
};

class Login final : public Mechanism {
public:
    explicit Login(const Credentials& credentials) : credentials_(credentials) {}

    std::string_view name() const override { return "LOGIN"; }

    Result<std::optional<Secret>> initial_response() override { return std::optional<Secret>(); }

    Result<Secret> respond(std::string_view) override {
        switch (++challenges_) {
            case 1:
                return Secret(credentials_.user);
            case 2:
                return credentials_.password;
        }
        return Unexpected(ErrorCode::Protocol, "LOGIN: a challenge after all was said");
    }

    bool is_complete() const override { return challenges_ == 2; }

private:
    Credentials credentials_;
    int challenges_ = 0;
};

}  // namespace

std::unique_ptr<Mechanism> make_plain(const Credentials& credentials) {
    return std::make_unique<Plain>(credentials);
}

std::unique_ptr<Mechanism> make_login(const Credentials& credentials) {
    return std::make_unique<Login>(credentials);
}

}  // namespace postrider::sasl
