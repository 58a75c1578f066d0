#include "config/parameters.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "config/evaluate.h"
#include "config/expand.h"
#include "config/known_names.h"
#include "config/values.h"

namespace postrider::config {

TEST(Parameters, AreFoundByName) {
    ASSERT_NE(find_parameter("relayhost"), nullptr);
    EXPECT_EQ(find_parameter("relayhost")->name, "relayhost");
    EXPECT_EQ(find_parameter("Relayhost"), nullptr);
    EXPECT_EQ(find_parameter(""), nullptr);
}

TEST(Parameters, AreSortedAndTellWhatTheyAreFor) {
    const auto rows = parameters();
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end(),
                               [](const auto* a, const auto* b) { return a->name < b->name; }));
    for (const auto* row : rows) {
        EXPECT_FALSE(row->meaning.empty()) << row->name;
        EXPECT_TRUE(row->meaning.ends_with('.')) << row->name;
        EXPECT_FALSE(is_known_to_postfix(row->name)) << row->name;
    }
}

TEST(Parameters, HaveDefaultsThatTheyWouldAccept) {
    const auto look_up = [](std::string_view name) -> std::optional<std::string_view> {
        // The host decides these.
        if (name == "myhostname" || name == "config_directory") return "box.example.org";
        const auto* const row = find_parameter(name);
        return row == nullptr ? std::nullopt : std::optional(row->default_value);
    };
    for (const auto* row : parameters()) {
        auto text = expand(row->default_value, look_up);
        ASSERT_TRUE(text) << row->name << ": " << text.error().message;
        const auto value = evaluate(*row, *text);
        EXPECT_TRUE(value) << row->name << ": " << value.error().message;
    }
}

TEST(Parameters, ReferToNamesThatExist) {
    for (const auto* row : parameters())
        for (const auto& name : referenced_names(row->default_value))
            EXPECT_NE(find_parameter(name), nullptr) << row->name << " refers to " << name;
}

TEST(Parameters, HaveUnits) {
    EXPECT_EQ(default_unit(*find_parameter("maximal_queue_lifetime")), 'd');
    EXPECT_EQ(default_unit(*find_parameter("delay_warning_time")), 'h');
    EXPECT_EQ(default_unit(*find_parameter("smtpd_timeout")), 's');
}

TEST(TransportParameters, AreRecognisedForAnyTransport) {
    const auto found = find_transport_parameter("relay_destination_recipient_limit");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->transport, "relay");
    EXPECT_EQ(found->suffix, "destination_recipient_limit");
    EXPECT_EQ(found->fallback, "default_destination_recipient_limit");
    EXPECT_EQ(find_transport_parameter("my-isp_initial_destination_concurrency")->fallback,
              "initial_destination_concurrency");
    EXPECT_FALSE(find_transport_parameter("relay_no_such_limit"));
    EXPECT_FALSE(find_transport_parameter("destination_rate_delay"));
    EXPECT_FALSE(find_transport_parameter("default_destination_recipient_limit"));
}

TEST(TransportParameters, FallBackToRowsThatExist) {
    for (const auto* row : parameters()) {
        const auto own = find_transport_parameter(row->name);
        if (!own) continue;
        EXPECT_NE(find_parameter(own->fallback), nullptr) << own->fallback;
    }
}

TEST(KnownNames, HoldWhatPostfixKnowsAndWeDoNot) {
    EXPECT_TRUE(is_known_to_postfix("postscreen_dnsbl_sites"));
    EXPECT_TRUE(is_known_to_postfix("virtual_mailbox_base"));
    EXPECT_FALSE(is_known_to_postfix("relayhost"));
    EXPECT_FALSE(is_known_to_postfix("relayhosts"));
}

}  // namespace postrider::config
