#include "config/manual.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/parameters.h"

namespace postrider::config {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(ManualPage, TellsOfEachParameterThatIsServed) {
    const auto page = manual_page();

    EXPECT_THAT(page, StartsWith(".TH MAIN.CF 5"));
    for (const auto* row : parameters()) {
        const auto heading = "\n.BR " + std::string(row->name) + " \"";
        if (row->treatment == Treatment::Served)
            EXPECT_THAT(page, HasSubstr(heading));
        else
            EXPECT_THAT(page, Not(HasSubstr(heading)));
    }
}

TEST(ManualPage, NamesWhatIsRefused) {
    EXPECT_THAT(manual_page(), HasSubstr("smtpd_sasl_auth_enable"));
}

TEST(ManualPage, HasNoLineThatRoffMistakesForARequest) {
    std::string page = manual_page();
    for (std::size_t at = 0; (at = page.find("\n.", at)) != page.npos; ++at)
        EXPECT_TRUE(page.compare(at, 5, "\n.TP\n") == 0 || page.compare(at, 4, "\n.SH") == 0 ||
                    page.compare(at, 3, "\n.B") == 0 || page.compare(at, 4, "\n.PP") == 0 ||
                    page.compare(at, 4, "\n.IP") == 0 || page.compare(at, 4, "\n.I ") == 0 ||
                    page.compare(at, 5, "\n.IR ") == 0)
            << page.substr(at, 40);
}

}  // namespace postrider::config
