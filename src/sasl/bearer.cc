#include "sasl/bearer.h"

#include <string>
#include <utility>

namespace postrider::sasl {

namespace {

constexpr std::string_view kSeparator = "\x01";

class Bearer final : public Mechanism {
public:
    Bearer(std::string_view name, Secret message, std::string_view after_refusal)
        : name_(name), message_(std::move(message)), after_refusal_(after_refusal) {}

    std::string_view name() const override { return name_; }

    Result<std::optional<Secret>> initial_response() override {
        complete_ = true;
        return std::optional<Secret>(std::exchange(message_, Secret()));
    }

    Result<Secret> respond(std::string_view) override {
        if (!complete_) return Unexpected(ErrorCode::Protocol, "a refusal and another challenge");
        complete_ = false;
        return Secret(after_refusal_);
    }

    bool is_complete() const override { return complete_; }

private:
    std::string_view name_;
    Secret message_;
    std::string_view after_refusal_;
    bool complete_ = false;
};

/// RFC 5801 4: `,` and `=` have a meaning in the GS2 header.
std::string gs2_name(std::string_view user) {
    std::string out;
    for (const char c : user) {
        if (c == ',')
            out += "=2C";
        else if (c == '=')
            out += "=3D";
        else
            out += c;
    }
    return out;
}

void append_token(Secret& message, const Credentials& credentials) {
    message.append("auth=Bearer ");
    message.append(credentials.password.reveal());
    message.append(kSeparator);
    message.append(kSeparator);
}

}  // namespace

std::unique_ptr<Mechanism> make_xoauth2(const Credentials& credentials) {
    Secret message("user=");
    message.append(credentials.user);
    message.append(kSeparator);
    append_token(message, credentials);
    return std::make_unique<Bearer>("XOAUTH2", std::move(message), "");
}

std::unique_ptr<Mechanism> make_oauthbearer(const Credentials& credentials) {
    Secret message("n,a=");
    message.append(gs2_name(credentials.user));
    message.append(",");
    message.append(kSeparator);
    if (!credentials.host.empty()) {
        message.append("host=" + credentials.host);
        message.append(kSeparator);
    }
    if (credentials.port != 0) {
        message.append("port=" + std::to_string(credentials.port));
        message.append(kSeparator);
    }
    append_token(message, credentials);
    return std::make_unique<Bearer>("OAUTHBEARER", std::move(message), kSeparator);
}

}  // namespace postrider::sasl
