#include "intake/submission.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include <fcntl.h>
#include <sys/stat.h>

#include <gtest/gtest.h>

#include "intake/drop.h"
#include "intake/fakes.h"
#include "intake/take_drop.h"

namespace postrider::intake {
namespace {

/// Gives its bytes out in small packets, and keeps what is written.
class BytesStream final : public net::Stream {
public:
    explicit BytesStream(std::string bytes, std::size_t packet = 7)
        : bytes_(std::move(bytes)), packet_(packet) {}
    net::Awaitable<Result<std::size_t>> read_some(std::span<char> into, MonotonicTime) override {
        const std::size_t size = std::min({into.size(), bytes_.size(), packet_});
        std::memcpy(into.data(), bytes_.data(), size);
        bytes_.erase(0, size);
        co_return size;
    }
    net::Awaitable<Result<void>> write(std::span<const boost::asio::const_buffer> buffers,
                                       MonotonicTime) override {
        for (const auto& buffer : buffers)
            written.append(static_cast<const char*>(buffer.data()), buffer.size());
        co_return Result<void>();
    }
    void cancel() override {}
    void close() override {}

    std::string written;

private:
    std::string bytes_;
    std::size_t packet_;
};

std::string frame(char type, std::string_view bytes) {
    FrameHead head;
    head.type = type;
    head.length = static_cast<std::uint32_t>(bytes.size());
    return encode_frame_head(head) + std::string(bytes);
}

class Submitted : public testing::Test {
public:
    Submitted() {
        cleanup.rewrite.myhostname = "desk.example";
        cleanup.rewrite.myorigin = "desk.example";
        cleanup.rewrite.mydomain = "example";
        options.find_login = [](std::int64_t uid) -> std::optional<Login> {
            if (uid != 1500) return std::nullopt;
            Login login;
            login.name = "alice";
            login.full_name = "Alice Example";
            return login;
        };
        request.recipients = {"bob@corp.example"};
    }

    std::string bytes(std::string_view content) const {
        return *encode_request(request) + frame('C', content) + frame('E', "");
    }
    SubmissionAnswer submit(const std::string& stream_bytes, std::int64_t uid = 1500) {
        BytesStream stream(stream_bytes);
        run(serve_submission(stream, uid, services, options, slot));
        auto answer = decode_answer(stream.written);
        if (!answer || !*answer) return {1, "no answer", false};
        return **answer;
    }
    std::string content() const { return inbox.messages.back().content; }

    DialogueOptions dialogue;
    SessionOptions session;
    message::CleanupOptions cleanup;
    FakeInbox inbox;
    JumpingTimers timers;
    CapturedLog lines;
    Log log{lines, "intake"};
    Services services{dialogue, session, cleanup, inbox, timers, log};
    Slot slot;
    SubmissionOptions options;
    SubmissionRequest request;
};

TEST_F(Submitted, MessageIsQueuedUnderItsOwnersName) {
    const auto answer = submit(bytes("Subject: x\n\nhello\n.\nnot any more\n"));

    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.text, "Q1");
    ASSERT_EQ(inbox.messages.size(), 1u);
    EXPECT_EQ(inbox.messages[0].message.submitter_uid, 1500);
    EXPECT_EQ(inbox.messages[0].message.client, "local");
    EXPECT_EQ(mail::external(inbox.messages[0].message.envelope.reverse_path),
              "alice@desk.example");
    EXPECT_TRUE(
        content().starts_with("Received: by desk.example (postrider, from userid 1500)\r\n"
                              "\tid Q1; "))
        << content();
    EXPECT_NE(content().find("From: Alice Example <alice@desk.example>\r\n"), std::string::npos);
    EXPECT_TRUE(content().ends_with("\r\n\r\nhello\r\n")) << content();
    EXPECT_EQ(lines.lines().front(), "pickup: Q1: uid=1500 from=<alice>");
}

TEST_F(Submitted, OneArgumentMayHoldSeveralRecipients) {
    request.recipients = {"a@x.example,b@y.example", "Bob <c@z.example>"};
    request.sender = "<>";
    request.dot_is_data = true;

    EXPECT_EQ(submit(bytes("\nhello\n.\nmore\n")).status, 0);

    const auto& envelope = inbox.messages.at(0).message.envelope;
    EXPECT_EQ(envelope.recipients.size(), 3u);
    EXPECT_TRUE(envelope.reverse_path.is_null());
    EXPECT_TRUE(content().ends_with("hello\r\n.\r\nmore\r\n"));
}

TEST_F(Submitted, RecipientsComeFromTheHeaderWhenAsked) {
    request.recipients.clear();
    request.extract_recipients = true;

    EXPECT_EQ(submit(bytes("To: a@x.example\nbcc: b@y.example\n\nhi\n")).status, 0);

    EXPECT_EQ(inbox.messages.at(0).message.envelope.recipients.size(), 2u);
    EXPECT_EQ(content().find("b@y.example"), std::string::npos);
}

TEST_F(Submitted, RefusalsSayWhy) {
    struct Case {
        const char* name;
        std::function<void(Submitted&)> arrange;
        std::int64_t uid;
        std::string text;
        bool temporary = false;
    };
    const std::vector<Case> cases = {
        {"no recipients", [](Submitted& t) { t.request.recipients.clear(); }, 1500,
         "alice(1500): Recipient addresses must be specified on the command line or via the -t "
         "option"},
        {"none in the header",
         [](Submitted& t) {
             t.request.recipients.clear();
             t.request.extract_recipients = true;
         },
         1500, "alice(1500): No recipient addresses found in message header"},
        {"no account", [](Submitted&) {}, 4242, "no login name found for user ID 4242"},
        {"not allowed",
         [](Submitted& t) { t.options.may_submit = [](std::string_view) { return false; }; }, 1500,
         "User alice(1500) is not allowed to submit mail"},
        {"not as this sender",
         [](Submitted& t) {
             t.request.sender = "boss@x.example";
             t.dialogue.may_send_as = [](std::int64_t uid, const mail::Address&) {
                 return Result<bool>(uid != 1500);
             };
         },
         1500, "not authorized to use sender='boss@x.example'"},
        {"nobody knows as whom",
         [](Submitted& t) {
             t.dialogue.may_send_as = [](std::int64_t, const mail::Address&) -> Result<bool> {
                 return Unexpected(ErrorCode::Unavailable, "the table is away");
             };
         },
         1500, "alice(1500): Temporary lookup failure", true},
        {"too big", [](Submitted& t) { t.cleanup.message_size_limit = 10; }, 1500,
         "alice(1500): message file too big"},
        {"queue away",
         [](Submitted& t) {
             t.inbox.open_error = Error{ErrorCode::Unavailable, "away"};
         },
         1500, "alice(1500): queue file write error", true},
    };
    for (const Case& c : cases) {
        options.may_submit = nullptr;
        dialogue.may_send_as = nullptr;
        request = SubmissionRequest();
        request.recipients = {"bob@corp.example"};
        c.arrange(*this);
        const auto answer = submit(bytes("Subject: x\n\nhello hello hello\n"), c.uid);
        cleanup.message_size_limit = 0;
        EXPECT_EQ(answer.status, 75) << c.name;
        EXPECT_EQ(answer.text, c.text) << c.name;
        EXPECT_EQ(answer.is_temporary, c.temporary) << c.name;
        EXPECT_TRUE(inbox.messages.empty()) << c.name;
        EXPECT_EQ(inbox.open_count(), 0u) << c.name;
    }
}

TEST_F(Submitted, NothingIsAcceptedOfAStreamThatBreaksOff) {
    const std::string whole = bytes("Subject: x\n\nhello\n");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        EXPECT_EQ(submit(whole.substr(0, length)).status, 1) << length;
        ASSERT_TRUE(inbox.messages.empty());
        ASSERT_EQ(inbox.open_count(), 0u);
    }
}

TEST_F(Submitted, SmtpModeRunsASessionHoweverItsBytesCome) {
    request = SubmissionRequest();
    request.mode = SubmissionRequest::Mode::Smtp;
    // All in one packet: a program may talk before it has been greeted.
    for (const std::size_t packet : {1, 7, 65536}) {
        inbox.messages.clear();
        BytesStream stream(
            *encode_request(request) +
                "EHLO x\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"
                "Subject: x\r\n.\r\nQUIT\r\n",
            packet);

        run(serve_submission(stream, 1500, services, options, slot));

        EXPECT_TRUE(stream.written.ends_with("221 2.0.0 Bye\r\n")) << stream.written;
        ASSERT_EQ(inbox.messages.size(), 1u) << packet;
        EXPECT_EQ(inbox.messages[0].message.submitter_uid, 1500);
    }
}

TEST_F(Submitted, RandomBytesAreNeverAccepted) {
    std::mt19937 random(3);
    const std::string whole = bytes("Subject: x\n\nhello\n");
    for (int round = 0; round < 2000; ++round) {
        std::string changed = whole;
        for (auto changes = 1 + random() % 4; changes > 0; --changes)
            changed[random() % 40] = static_cast<char>(random());
        if (changed == whole) continue;
        // Whatever it means, it is answered or closed, and leaves nothing half-done behind.
        (void)submit(changed);
        ASSERT_EQ(inbox.open_count(), 0u);
    }
}

TEST(SubmissionFormat, ReadsBackWhatItWrote) {
    SubmissionRequest request;
    request.sender = "";
    request.full_name = "Zoë";
    request.recipients = {"a@x.example,b", "-oQ/tmp"};
    request.extract_recipients = request.dot_is_data = request.gateway = true;
    request.body = mail::BodyType::EightBitMime;
    request.notify.failure = request.notify.delay = true;
    request.dsn_return = mail::DsnReturn::Headers;
    request.envelope_id = "id 1";

    const auto bytes = encode_request(request);

    ASSERT_EQ(*decode_preamble(*bytes), bytes->size() - 9);
    EXPECT_EQ(*decode_request(std::string_view(*bytes).substr(9)), request);
}

TEST(SubmissionFormat, RefusesLineBreaksInNamesAndIds) {
    for (const auto& change : std::vector<std::function<void(SubmissionRequest&)>>{
             [](SubmissionRequest& r) { r.full_name = "a\nBcc: x@y"; },
             [](SubmissionRequest& r) { r.envelope_id = "a\r\nb"; },
             [](SubmissionRequest& r) { r.sender = std::string("a\0b", 3); }}) {
        SubmissionRequest request;
        change(request);
        EXPECT_FALSE(decode_request(std::string_view(*encode_request(request)).substr(9)));
    }
}

class DropTest : public Submitted {
protected:
    DropTest() {
        char pattern[] = "/tmp/postrider-drop-XXXXXX";
        directory = ::mkdtemp(pattern);
    }
    ~DropTest() override { std::filesystem::remove_all(directory); }
    Result<Drop> open(const std::string& name) {
        const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY));
        return open_drop(fd.get(), name);
    }
    ErrorCode code(const std::string& name) { return open(name).error().code; }

    std::string directory;
};

TEST_F(DropTest, IsThereOnlyWhenComplete) {
    {
        auto unfinished = DropFile::create(directory);
        ASSERT_TRUE(unfinished);
        ASSERT_TRUE(unfinished->write("x"));
    }
    EXPECT_TRUE(std::filesystem::is_empty(directory));
}

TEST_F(DropTest, IsTheReadersWhereNobodyElseMayWrite) {
    if (::geteuid() != 0) GTEST_SKIP() << "must be root";
    constexpr uid_t reader = 4711;
    ASSERT_EQ(::chown(directory.c_str(), reader, reader), 0);
    const auto owner = [&] {
        auto file = DropFile::create(directory);
        EXPECT_TRUE(file->write("x"));
        return open(*file->finish())->uid;
    };

    std::filesystem::permissions(directory, std::filesystem::perms{0700});
    EXPECT_EQ(owner(), reader);
    std::filesystem::permissions(directory, std::filesystem::perms{01733});
    EXPECT_EQ(owner(), 0);
}

TEST_F(DropTest, GoesIntoTheQueueWithItsOwner) {
    auto file = DropFile::create(directory);
    ASSERT_TRUE(file->write(bytes("Subject: x\n\nhello\n")));
    const auto name = file->finish();
    ASSERT_TRUE(name);
    auto drop = open(*name);
    ASSERT_TRUE(drop);
    EXPECT_EQ(drop->uid, ::getuid());

    const auto taken = run(take_drop(std::move(drop->file), 1500, *name, services, options));

    EXPECT_TRUE(taken);
    EXPECT_EQ(inbox.messages.size(), 1u);
}

TEST_F(DropTest, TellsWhatMayBeTriedAgain) {
    const auto take = [&](const std::string& text) {
        std::ofstream(directory + "/A1") << text;
        auto drop = open("A1");
        return run(take_drop(std::move(drop->file), 1500, "A1", services, options));
    };

    EXPECT_EQ(take("garbage and more of it").error().code, ErrorCode::Invalid);
    EXPECT_EQ(take(bytes("x").substr(0, 30)).error().code, ErrorCode::Invalid);
    inbox.commit_error = Error{ErrorCode::DiskFull, "full"};
    EXPECT_EQ(take(bytes("x")).error().code, ErrorCode::Unavailable);
}

TEST_F(DropTest, ComesOnlyFromThoseWhoMaySubmit) {
    options.may_submit = [](std::string_view login) { return login != "alice"; };
    std::ofstream(directory + "/A1") << bytes("Subject: x\n\nhello\n");
    auto drop = open("A1");

    const auto taken = run(take_drop(std::move(drop->file), 1500, "A1", services, options));

    EXPECT_EQ(taken.error().code, ErrorCode::Invalid);
    EXPECT_EQ(taken.error().message, "User alice(1500) is not allowed to submit mail");
    EXPECT_TRUE(inbox.messages.empty());
}

TEST_F(DropTest, OpensNothingThatWasPlanted) {
    std::ofstream(directory + "/Plain") << "x";
    std::filesystem::create_symlink("/etc/passwd", directory + "/Link");
    std::filesystem::create_hard_link(directory + "/Plain", directory + "/Hard");
    std::filesystem::create_directory(directory + "/Dir");
    ASSERT_EQ(::mkfifo((directory + "/Fifo").c_str(), 0600), 0);

    EXPECT_EQ(code("Link"), ErrorCode::Denied);
    EXPECT_EQ(code("Hard"), ErrorCode::Denied);
    EXPECT_EQ(code("Dir"), ErrorCode::Denied);
    EXPECT_EQ(code("Fifo"), ErrorCode::Denied);
    EXPECT_EQ(code("../Plain"), ErrorCode::Denied);
    EXPECT_EQ(code(".hidden"), ErrorCode::Denied);
    EXPECT_EQ(code("Gone"), ErrorCode::NotFound);
}

}  // namespace
}  // namespace postrider::intake
