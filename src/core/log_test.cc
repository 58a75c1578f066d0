#include "core/log.h"

#include <gtest/gtest.h>

namespace postrider {

TEST(Log, PutsTheSeverityInFrontOfTheText) {
    CapturedLog captured;
    const Log log(captured, "smtp");

    log.info("connect");
    log.warning("late");
    log.error("no table");
    log.fatal("no queue");
    log.write(Severity::Panic, "no sense");

    EXPECT_EQ(captured.lines(), (std::vector<std::string>{
                                    "smtp: connect", "smtp: warning: late", "smtp: error: no table",
                                    "smtp: fatal: no queue", "smtp: panic: no sense"}));
}

TEST(Log, ReplacesWhatDoesNotPrint) {
    CapturedLog captured;
    Log(captured, "cleanup").info("a\r\nb\tc\x1b[2J");

    EXPECT_EQ(captured.lines().front(), "cleanup: a??b?c?[2J");
}

TEST(Log, KeepsUtf8ButNotBrokenUtf8) {
    EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
    EXPECT_EQ(printable("caf\xe9"), "caf?");
}

// Q13: they are well-formed UTF-8, and a terminal obeys them.
TEST(Log, ReplacesControlsAndMarksOfDirection) {
    EXPECT_EQ(printable("a\xc2\x9b"
                        "31mb"),
              "a??31mb");
    EXPECT_EQ(printable("\xe2\x80\xaegpj.exe\xe2\x81\xa6\xd8\x9c"), "???gpj.exe?????");
    EXPECT_EQ(printable("\xe2\x80\xa8\xe2\x80\x8f"), "??????");
    // Their neighbours.
    EXPECT_EQ(printable("\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf\xd8\x9b"),
              "\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf\xd8\x9b");
}

}  // namespace postrider
