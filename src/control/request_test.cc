#include "control/request.h"

#include <random>

#include <gtest/gtest.h>

#include "control/codec.h"

namespace postrider::control {

TEST(Request, IsReadAsItWasWritten) {
    Request request;
    request.operation = Operation::Hold;
    request.ids = {"8DC08A800E0", "7F1EEA800E1"};

    const auto read = parse_request(to_line(request));

    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->operation, Operation::Hold);
    EXPECT_EQ(read->ids, request.ids);
    EXPECT_FALSE(read->all);
}

TEST(Request, IsReadAsItWasWrittenWhateverItAsks) {
    for (const Operation operation :
         {Operation::List, Operation::Status, Operation::Flush, Operation::Show, Operation::Hold,
          Operation::Release, Operation::Remove, Operation::Requeue, Operation::Expire,
          Operation::Pause, Operation::Resume}) {
        Request request;
        request.operation = operation;
        request.all = true;
        request.site = "corp.example";

        const auto read = parse_request(to_line(request));

        ASSERT_TRUE(read) << read.error().message;
        EXPECT_EQ(read->operation, operation) << name_of(operation);
        EXPECT_TRUE(read->all);
        EXPECT_EQ(read->site, "corp.example");
    }
}

// What somebody types is whatever bytes the terminal sends.
TEST(Request, IsAskedForASiteThatIsNoText) {
    Request request;
    request.operation = Operation::Flush;
    request.site = "caf\xe9.example";

    const auto read = parse_request(to_line(request));

    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->site, "caf\xef\xbf\xbd.example") << "which is nobody's";
}

TEST(Request, RefusesWhatIsNotOne) {
    for (const char* line :
         {"", "{}", "[]", "null", R"({"operation": "format"})", R"({"operation": 7})",
          R"({"operation": "hold", "ids": ["../../x"]})", R"({"operation": "hold", "ids": "x"})",
          R"({"operation": "hold", "all": 1})", R"({"operation": "list", "extra": true})",
          R"({"operation": "list")", R"({"ids": []})", R"({"operation": "hold", "ids": [7]})",
          R"({"operation": "hold", "site": 7})"}) {
        EXPECT_FALSE(parse_request(line)) << line;
    }
}

TEST(Request, SurvivesAnyBytes) {
    std::mt19937 random(20261122);
    const std::string seed = R"({"operation": "hold", "ids": ["8DC08A800E0"], "all": false})";
    for (int i = 0; i < 20000; ++i) {
        std::string line = seed;
        for (int change = 0; change < 3; ++change) {
            line[random() % line.size()] = static_cast<char>(random());
        }
        if (const auto request = parse_request(line)) {
            for (const std::string& id : request->ids) EXPECT_FALSE(id.empty());
        }
    }
}

TEST(Codec, MessageIsReadAsItWasWritten) {
    queue::ListedMessage message;
    message.place = queue::ListedMessage::Place::Deferred;
    message.id = *mail::QueueId::parse("8DC08A800E0");
    message.arrival = WallTime(std::chrono::seconds(1795356695));
    message.size = 1690;
    message.envelope.reverse_path = mail::Address("ann", "desk.example");
    queue::QueuedRecipient recipient;
    recipient.ordinal = 3;
    recipient.recipient = mail::Recipient(mail::Address("b \"o b", "corp.example"));
    recipient.last.text = "said: \xff broken \"bytes\"";
    message.recipients.push_back(recipient);

    const std::string line = message_line(message);
    const auto read = parse_message(line.substr(11, line.size() - 12));

    ASSERT_TRUE(read) << read.error().message << line;
    EXPECT_EQ(read->place, message.place);
    EXPECT_EQ(read->id, message.id);
    EXPECT_EQ(read->arrival, message.arrival);
    EXPECT_EQ(read->envelope.reverse_path, message.envelope.reverse_path);
    ASSERT_EQ(read->recipients.size(), 1u);
    EXPECT_EQ(read->recipients[0].ordinal, 3u);
    EXPECT_EQ(read->recipients[0].recipient.address, recipient.recipient.address);
    EXPECT_EQ(read->recipients[0].last.text, "said: \xef\xbf\xbd broken \"bytes\"");
}

TEST(Codec, KeepsWhereAMessageIsAndHowItsRecipientsAre) {
    using Place = queue::ListedMessage::Place;
    using queue::RecipientState;
    for (const Place place :
         {Place::Incoming, Place::Active, Place::Deferred, Place::Hold, Place::Dead}) {
        for (const RecipientState state :
             {RecipientState::Waiting, RecipientState::Failed, RecipientState::Dead}) {
            queue::ListedMessage message;
            message.place = place;
            message.recipients.emplace_back().state = state;

            const std::string line = message_line(message);
            const auto read = parse_message(line.substr(11, line.size() - 12));

            ASSERT_TRUE(read) << read.error().message << line;
            EXPECT_EQ(read->place, place) << line;
            EXPECT_EQ(read->recipients.at(0).state, state) << line;
        }
    }
}

TEST(Codec, RefusesWhatIsNotAMessage) {
    for (const char* text : {"", "{}", "[]", R"({"place": 1})"}) EXPECT_FALSE(parse_message(text));
}

}  // namespace postrider::control
