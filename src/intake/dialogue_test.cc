#include "intake/dialogue.h"

#include <random>

#include <gtest/gtest.h>

namespace postrider::intake {
namespace {

/// What RFC 5321 lets a server remember, said as shortly as possible.
struct Model {
    bool in_transaction = false;
    std::size_t recipients = 0;
    enum { None, Receiving, Failed } chunks = None;

    void forget() { *this = Model(); }
};

class DialogueModel : public testing::Test {
protected:
    CapturedLog lines;
    Log log{lines, "smtpd"};
    DialogueOptions options;
};

// Random commands, obeyed by the dialogue and by the model: neither may remember more than the
// other, whatever was refused, broken off or begun anew in between.
TEST_F(DialogueModel, AgreesOnRandomCommands) {
    options.smtpd_hard_error_limit = 1000000;
    options.smtpd_junk_command_limit = 1000000;
    options.smtpd_recipient_limit = 5;
    options.message_size_limit = 1000;
    options.classify_recipient = [](const mail::Address& address) {
        return address.local_part == "no" ? RecipientClass::UnknownLocal : RecipientClass::Remote;
    };
    const std::vector<std::string> commands = {
        "EHLO x",
        "HELO x",
        "EHLO",
        "MAIL FROM:<a@x>",
        "MAIL FROM:<a",
        "MAIL FROM:<a@x> SIZE=2000",
        "RCPT TO:<b@y>",
        "RCPT TO:<b@y>",
        "RCPT TO:<no@y>",
        "RCPT TO:<>",
        "RCPT TO:<b@y> X=1",
        "DATA",
        "DATA x",
        "BDAT 10",
        "BDAT 10 LAST",
        "BDAT 0",
        "BDAT 2000",
        "BDAT 0 LAST",
        "RSET",
        "RSET x",
        "NOOP",
        "VRFY root",
        "FOO",
    };
    std::mt19937 random(5);
    for (int session = 0; session < 300; ++session) {
        Dialogue dialogue(options, network_client("127.0.0.1", true), log);
        Model model;
        std::uint64_t bytes = 0;
        for (int step = 0; step < 200; ++step) {
            const std::string& command = commands[random() % commands.size()];
            const bool works = random() % 4 != 0;  // Of the queue, when it is asked.
            const Dialogue::Turn turn = dialogue.command(command, false);
            const bool positive = turn.reply.code / 100 == 2;
            switch (turn.next) {
                case Dialogue::Next::Open: {
                    ASSERT_TRUE(model.in_transaction && model.recipients == 0);
                    Result<mail::QueueId> id = Unexpected(ErrorCode::Unavailable, "away");
                    if (works) id = *mail::QueueId::parse("Q1");
                    ASSERT_EQ(dialogue.opened(id).code, works ? 250 : 451);
                    if (works) model.recipients = 1;
                    break;
                }
                case Dialogue::Next::Content:
                    ASSERT_EQ(command, "DATA");
                    ASSERT_TRUE(model.recipients > 0 && model.chunks == Model::None);
                    ASSERT_EQ(dialogue.envelope().recipients.size(), model.recipients);
                    works ? dialogue.accepted() : dialogue.refused(Error{ErrorCode::Io, "disk"});
                    model.forget();
                    break;
                case Dialogue::Next::Chunk:
                    ASSERT_TRUE(model.recipients > 0 && model.chunks != Model::Failed);
                    bytes = model.chunks == Model::None ? turn.chunk.size : bytes + turn.chunk.size;
                    ASSERT_LE(bytes, 1000u);
                    model.chunks = Model::Receiving;
                    if (turn.chunk.last) {
                        works ? dialogue.accepted()
                              : dialogue.refused(Error{ErrorCode::Io, "disk"});
                        model.forget();
                    } else {
                        dialogue.chunk_received(turn.chunk);
                    }
                    break;
                case Dialogue::Next::Skip:
                    ASSERT_FALSE(positive);
                    model.forget();
                    if (!turn.chunk.last) model.chunks = Model::Failed;
                    break;
                case Dialogue::Next::Read:
                    if (positive &&
                        (command.starts_with("EHLO ") || command == "HELO x" || command == "RSET"))
                        model.forget();
                    if (positive && command.starts_with("MAIL")) {
                        ASSERT_TRUE(!model.in_transaction && model.chunks == Model::None);
                        model.in_transaction = true;
                    }
                    if (positive && command.starts_with("RCPT")) {
                        ASSERT_TRUE(model.in_transaction && model.chunks == Model::None);
                        ++model.recipients;
                    }
                    break;
                case Dialogue::Next::Close:
                    FAIL() << command;
            }
            ASSERT_EQ(dialogue.in_transaction(), model.in_transaction) << command;
            ASSERT_EQ(dialogue.envelope().recipients.size(), model.recipients) << command;
            ASSERT_EQ(dialogue.has_queue_id(), model.recipients > 0) << command;
            ASSERT_EQ(dialogue.is_receiving_chunks(), model.chunks == Model::Receiving) << command;
            if (!model.in_transaction) {
                ASSERT_TRUE(dialogue.envelope().reverse_path.is_null());
            }
        }
    }
}

TEST(ClientLabel, NamesLoopbackAndNobodyElse) {
    EXPECT_EQ(network_client("127.0.0.1", true).label(), "localhost[127.0.0.1]");
    EXPECT_EQ(network_client("::1", true).label(), "localhost[::1]");
    EXPECT_EQ(network_client("::ffff:127.0.0.1", true).label(), "localhost[127.0.0.1]");
    EXPECT_EQ(network_client("192.0.2.9", true).label(), "unknown[192.0.2.9]");
}

}  // namespace
}  // namespace postrider::intake
