#include "config/listing.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postrider::config {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

namespace {

Settings settings(std::string_view text) {
    const std::filesystem::path directory = "/etc/postrider";
    return {parse_main_cf(text, directory / "main.cf").value(), directory, {}, {"box", {}}};
}

std::string listed(std::string_view text, const std::vector<std::string>& names,
                   const ListingForm& form = {}) {
    return list_parameters(settings(text), names, form).value().text;
}

}  // namespace

TEST(Listing, ShowsSettingsAndDefaultsUnexpanded) {
    EXPECT_EQ(listed("relayhost = [h]\n", {"relayhost", "smtpd_banner", "queue_run_delay"}),
              "relayhost = [h]\nsmtpd_banner = $myhostname ESMTP $mail_name\n"
              "queue_run_delay = 300s\n");
}

TEST(Listing, KeepsASpaceOnlyBetweenWords) {
    EXPECT_EQ(
        listed("relayhost =\nmydestination = a,\n    b   c\n", {"relayhost", "mydestination"}),
        "relayhost =\nmydestination = a, b c\n");
}

TEST(Listing, HasAllNamesInOrder) {
    const auto text = listed("zebra = 1\nrelayhost = [$zebra]\n", {});

    EXPECT_THAT(text, StartsWith("2bounce_notice_recipient = postmaster\n"));
    EXPECT_THAT(text,
                HasSubstr("\nrelay_destination_rate_delay = $default_destination_rate_delay"));
    EXPECT_THAT(text, HasSubstr("\nzebra = 1\n"));
    EXPECT_GT(std::count(text.begin(), text.end(), '\n'), 400);
}

TEST(Listing, TakesEachForm) {
    const auto* const text = "b = 2\nmyorigin = $b\nlost = 1\n";
    ListingForm form;
    form.only_set = true;
    EXPECT_EQ(listed(text, {}, form), "b = 2\nmyorigin = $b\n");
    form.expanded = true;
    EXPECT_EQ(listed(text, {"myorigin", "relayhost"}, form), "myorigin = 2\n");
    form.hides_names = true;
    EXPECT_EQ(listed(text, {"myorigin"}, form), "2\n");
    form = {.only_set = true, .hides_values = true};
    EXPECT_EQ(listed(text, {}, form), "b\nmyorigin\n");
    form = {.only_set = true, .json = true};
    EXPECT_EQ(listed("relayhost = \"a\\b\n", {}, form), "{\"relayhost\": \"\\\"a\\\\b\"}\n");
    form = {.only_set = true, .of_class = ParameterClass::User};
    EXPECT_EQ(listed(text, {}, form), "b = 2\n");
    form = {.only_set = true, .of_class = ParameterClass::Service};
    EXPECT_EQ(listed("smtp_destination_rate_delay = 1s\nbiff = no\n", {}, form),
              "smtp_destination_rate_delay = 1s\n");
    form = {.of_class = ParameterClass::Service};
    EXPECT_THAT(listed("", {}, form), Not(HasSubstr("default_destination_recipient_limit =")));
}

TEST(Listing, FoldsLongLines) {
    ListingForm form;
    form.folded = true;
    const auto text = listed("mydestination = " + std::string(70, 'a') + " bbbbbbbbbb c\n",
                             {"mydestination"}, form);

    EXPECT_EQ(text, "mydestination =\n    " + std::string(70, 'a') + "\n    bbbbbbbbbb c\n");
}

TEST(Listing, WarnsOfNamesThatAreNone) {
    const auto listing =
        list_parameters(settings(""),
                        {"relayhots", "relayhost", "biff", "postscreen_ttl_x", "lmtp_tls_loglevel"},
                        {})
            .value();

    EXPECT_EQ(listing.text, "relayhost =\nbiff = yes\n");
    EXPECT_THAT(listing.warnings,
                ElementsAre("relayhots: unknown parameter", "postscreen_ttl_x: unknown parameter",
                            "lmtp_tls_loglevel: postrider does not serve this parameter"));
}

TEST(Listing, StopsAtAValueThatCannotBeExpanded) {
    ListingForm form;
    form.expanded = true;
    const auto listing = list_parameters(settings("relayhost = ${\n"), {"relayhost"}, form);

    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().message, "relayhost: truncated macro reference: \"${\"");
}

TEST(ListingWarnings, HavePostfixsWords) {
    EXPECT_THAT(listing_warnings(settings("b = 1\nb = 2\na = 1\nrelayhost = $c\nc = 1\n")),
                ElementsAre("/etc/postrider/main.cf, line 2: overriding earlier entry: b=1",
                            "/etc/postrider/main.cf: unused parameter: a=1",
                            "/etc/postrider/main.cf: unused parameter: b=2"));
}

}  // namespace postrider::config
