#include "delivery/classify.h"

#include <gtest/gtest.h>

namespace postrider::delivery {
namespace {

using Kind = mail::Disposition::Kind;

Peer peer() {
    Peer host;
    host.host = "smtp.example.net";
    host.address = "192.0.2.7";
    host.port = 465;
    return host;
}

struct Row {
    Stage stage;
    int code;
    const char* line;
    Kind kind;
    const char* status;
    Reach reach;
    const char* text;

    // gtest would print all bytes, those between the members too, which have no value.
    friend void PrintTo(const Row& row, std::ostream* out) { *out << row.line; }
};

class ClassifiesReply : public testing::TestWithParam<Row> {};

TEST_P(ClassifiesReply, AsTheTableSays) {
    const Row& row = GetParam();

    const Verdict verdict = classify(row.stage, smtp::Reply(row.code, row.line), peer());

    EXPECT_EQ(verdict.disposition.kind, row.kind);
    EXPECT_EQ(mail::to_string(verdict.disposition.status), row.status);
    EXPECT_EQ(verdict.reach, row.reach);
    EXPECT_EQ(verdict.disposition.text, row.text);
    EXPECT_EQ(verdict.disposition.remote_mta, "smtp.example.net");
}

INSTANTIATE_TEST_SUITE_P(
    Handshake, ClassifiesReply,
    testing::Values(
        Row{Stage::Greeting, 421, "4.3.2 busy", Kind::Deferred, "4.3.2", Reach::Session,
            "host smtp.example.net[192.0.2.7] refused to talk to me: 421 4.3.2 busy"},
        Row{Stage::Greeting, 554, "5.7.1 go away", Kind::Deferred, "4.7.1", Reach::Session,
            "host smtp.example.net[192.0.2.7] refused to talk to me: 554 5.7.1 go away"},
        Row{Stage::Greeting, 554, "no SMTP here", Kind::Deferred, "4.0.0", Reach::Session,
            "host smtp.example.net[192.0.2.7] refused to talk to me: 554 no SMTP here"},
        Row{Stage::Ehlo, 421, "4.7.0 later", Kind::Deferred, "4.7.0", Reach::Session,
            "host smtp.example.net[192.0.2.7] refused to talk to me: 421 4.7.0 later"},
        Row{Stage::Helo, 501, "bad name", Kind::Deferred, "4.0.0", Reach::Session,
            "host smtp.example.net[192.0.2.7] refused to talk to me: 501 bad name"},
        Row{Stage::StartTls, 454, "4.7.0 TLS not available", Kind::Deferred, "4.7.0",
            Reach::Session,
            "TLS is required, but host smtp.example.net[192.0.2.7] refused to start TLS: 454 "
            "4.7.0 TLS not available"},
        Row{Stage::Auth, 535, "5.7.8 Bad credentials", Kind::Deferred, "4.7.8", Reach::Account,
            "SASL authentication failed; server smtp.example.net[192.0.2.7] said: 535 5.7.8 Bad "
            "credentials"},
        Row{Stage::Auth, 534, "5.7.9 Application-specific password required", Kind::Deferred,
            "4.7.9", Reach::Account,
            "SASL authentication failed; server smtp.example.net[192.0.2.7] said: 534 5.7.9 "
            "Application-specific password required"},
        Row{Stage::Auth, 454, "4.7.0 Temporary authentication failure", Kind::Deferred, "4.7.0",
            Reach::Account,
            "SASL authentication failed; server smtp.example.net[192.0.2.7] said: 454 4.7.0 "
            "Temporary authentication failure"}));

INSTANTIATE_TEST_SUITE_P(
    Transaction, ClassifiesReply,
    testing::Values(
        Row{Stage::Mail, 451, "4.3.0 later", Kind::Deferred, "4.3.0", Reach::Message,
            "host smtp.example.net[192.0.2.7] said: 451 4.3.0 later (in reply to MAIL FROM "
            "command)"},
        Row{Stage::Mail, 550, "5.1.0 bad sender", Kind::Bounced, "5.1.0", Reach::Message,
            "host smtp.example.net[192.0.2.7] said: 550 5.1.0 bad sender (in reply to MAIL FROM "
            "command)"},
        Row{Stage::Mail, 530, "5.7.0 Authentication Required", Kind::Deferred, "4.7.0",
            Reach::Account,
            "host smtp.example.net[192.0.2.7] said: 530 5.7.0 Authentication Required (in reply "
            "to MAIL FROM command)"},
        Row{Stage::Mail, 535, "log in first", Kind::Deferred, "4.0.0", Reach::Account,
            "host smtp.example.net[192.0.2.7] said: 535 log in first (in reply to MAIL FROM "
            "command)"},
        Row{Stage::Mail, 552, "5.2.2 over quota", Kind::Deferred, "4.2.2", Reach::Account,
            "host smtp.example.net[192.0.2.7] said: 552 5.2.2 over quota (in reply to MAIL FROM "
            "command)"},
        Row{Stage::Mail, 552, "5.3.4 too big", Kind::Bounced, "5.3.4", Reach::Message,
            "host smtp.example.net[192.0.2.7] said: 552 5.3.4 too big (in reply to MAIL FROM "
            "command)"},
        Row{Stage::Mail, 421, "4.3.2 shutting down", Kind::Deferred, "4.3.2", Reach::Destination,
            "host smtp.example.net[192.0.2.7] said: 421 4.3.2 shutting down (in reply to MAIL "
            "FROM command)"},
        Row{Stage::Rcpt, 550, "5.1.1 no such user", Kind::Bounced, "5.1.1", Reach::Recipient,
            "host smtp.example.net[192.0.2.7] said: 550 5.1.1 no such user (in reply to RCPT TO "
            "command)"},
        Row{Stage::Rcpt, 550, "no such user", Kind::Bounced, "5.0.0", Reach::Recipient,
            "host smtp.example.net[192.0.2.7] said: 550 no such user (in reply to RCPT TO "
            "command)"},
        Row{Stage::Rcpt, 450, "4.7.1 greylisted", Kind::Deferred, "4.7.1", Reach::Recipient,
            "host smtp.example.net[192.0.2.7] said: 450 4.7.1 greylisted (in reply to RCPT TO "
            "command)"},
        Row{Stage::Rcpt, 552, "5.2.2 over quota", Kind::Bounced, "5.2.2", Reach::Recipient,
            "host smtp.example.net[192.0.2.7] said: 552 5.2.2 over quota (in reply to RCPT TO "
            "command)"},
        Row{Stage::Rcpt, 550, "5.4.5 Daily user sending limit exceeded", Kind::Deferred, "4.4.5",
            Reach::Account,
            "host smtp.example.net[192.0.2.7] said: 550 5.4.5 Daily user sending limit exceeded "
            "(in reply to RCPT TO command)"},
        Row{Stage::Rcpt, 354, "go on", Kind::Deferred, "4.5.0", Reach::Session,
            "Protocol error: host smtp.example.net[192.0.2.7] said: 354 go on (in reply to RCPT "
            "TO command)"},
        Row{Stage::Data, 250, "fine", Kind::Deferred, "4.5.0", Reach::Session,
            "Protocol error: host smtp.example.net[192.0.2.7] said: 250 fine (in reply to DATA "
            "command)"},
        Row{Stage::Data, 554, "5.5.1 no valid recipients", Kind::Bounced, "5.5.1", Reach::Message,
            "host smtp.example.net[192.0.2.7] said: 554 5.5.1 no valid recipients (in reply to "
            "DATA command)"},
        Row{Stage::EndOfData, 451, "4.3.0 disk", Kind::Deferred, "4.3.0", Reach::Message,
            "host smtp.example.net[192.0.2.7] said: 451 4.3.0 disk (in reply to end of DATA "
            "command)"},
        Row{Stage::EndOfData, 550, "5.7.1 spam", Kind::Bounced, "5.7.1", Reach::Message,
            "host smtp.example.net[192.0.2.7] said: 550 5.7.1 spam (in reply to end of DATA "
            "command)"},
        Row{Stage::EndOfData, 550, "5.7.1 Email quota exceeded", Kind::Deferred, "4.7.1",
            Reach::Account,
            "host smtp.example.net[192.0.2.7] said: 550 5.7.1 Email quota exceeded (in reply to "
            "end of DATA command)"},
        Row{Stage::EndOfData, 421, "4.7.0 Try again later", Kind::Deferred, "4.7.0",
            Reach::Destination,
            "host smtp.example.net[192.0.2.7] said: 421 4.7.0 Try again later (in reply to end "
            "of DATA command)"}));

TEST(Classify, ShowsTheLinesOfARefusedLoginApartByQuestionMarks) {
    const smtp::Reply reply(
        535, std::vector<std::string>{"5.7.8 Username not accepted.", "5.7.8 see the help"});

    const Verdict verdict = classify(Stage::Auth, reply, peer());

    EXPECT_EQ(verdict.disposition.text,
              "SASL authentication failed; server smtp.example.net[192.0.2.7] said: "
              "535-5.7.8 Username not accepted.?535 5.7.8 see the help");
}

struct Lost {
    Stage stage;
    ErrorCode code;
    const char* text;
};

TEST(Classify, DefersWhateverHappensToTheConnection) {
    const Lost rows[] = {
        {Stage::Greeting, ErrorCode::Connection,
         "lost connection with smtp.example.net[192.0.2.7] while receiving the initial server "
         "greeting"},
        {Stage::Ehlo, ErrorCode::Timeout,
         "conversation with smtp.example.net[192.0.2.7] timed out while performing the EHLO "
         "handshake"},
        {Stage::Mail, ErrorCode::Connection,
         "lost connection with smtp.example.net[192.0.2.7] while sending MAIL FROM"},
        {Stage::Rcpt, ErrorCode::Connection,
         "lost connection with smtp.example.net[192.0.2.7] while sending RCPT TO"},
        {Stage::Data, ErrorCode::Timeout,
         "conversation with smtp.example.net[192.0.2.7] timed out while sending DATA command"},
        {Stage::Content, ErrorCode::Connection,
         "lost connection with smtp.example.net[192.0.2.7] while sending message body"},
        {Stage::EndOfData, ErrorCode::Connection,
         "lost connection with smtp.example.net[192.0.2.7] while sending end of data -- message "
         "may be sent more than once"},
        {Stage::EndOfData, ErrorCode::Timeout,
         "conversation with smtp.example.net[192.0.2.7] timed out while sending end of data -- "
         "message may be sent more than once"},
    };
    for (const Lost& row : rows) {
        const Verdict verdict = classify(row.stage, Error{row.code, "x"}, peer());
        EXPECT_EQ(verdict.disposition.kind, Kind::Deferred);
        EXPECT_EQ(verdict.disposition.status, mail::EnhancedStatus(4, 4, 2));
        EXPECT_EQ(verdict.disposition.text, row.text);
        EXPECT_EQ(verdict.reach, Reach::Session);
    }
}

TEST(Classify, ReportsAFailedConnectInTheWordsOfTheNetwork) {
    const Error error{ErrorCode::Connection,
                      "connect to smtp.example.net[192.0.2.7]:465: Connection refused"};

    const Verdict verdict = classify(Stage::Connect, error, peer());

    EXPECT_EQ(verdict.disposition.text, error.message);
    EXPECT_EQ(verdict.disposition.status, mail::EnhancedStatus(4, 4, 1));
}

TEST(Classify, KeepsMailWhenTheRelayhostsNameIsWrong) {
    const Error absent{ErrorCode::NotFound, "Host or domain name not found."};
    const Error later{ErrorCode::Unavailable, "try again"};

    EXPECT_EQ(lookup_failure(absent, true).disposition.status, mail::EnhancedStatus(4, 3, 5));
    EXPECT_EQ(lookup_failure(absent, true).disposition.kind, Kind::Deferred);
    EXPECT_EQ(lookup_failure(absent, false).disposition.status, mail::EnhancedStatus(5, 4, 4));
    EXPECT_EQ(lookup_failure(absent, false).disposition.kind, Kind::Bounced);
    EXPECT_EQ(lookup_failure(later, false).disposition.status, mail::EnhancedStatus(4, 4, 3));
}

TEST(Classify, NeverBouncesForTlsOrMechanisms) {
    for (const TlsTrouble trouble : {TlsTrouble::NotOffered, TlsTrouble::Handshake,
                                     TlsTrouble::NotVerified, TlsTrouble::Configuration}) {
        EXPECT_EQ(tls_failure(trouble, peer()).disposition.kind, Kind::Deferred);
    }
    EXPECT_EQ(tls_failure(TlsTrouble::NotVerified, peer()).disposition.text,
              "Server certificate not verified");
    EXPECT_EQ(no_common_mechanism(peer(), false).reach, Reach::Account);
    EXPECT_EQ(no_common_mechanism(peer(), true).disposition.status, mail::EnhancedStatus(4, 7, 0));
}

TEST(Classify, KnowsAFullTransactionFromAFullMailbox) {
    EXPECT_TRUE(is_transaction_full(smtp::Reply(452, "4.5.3 too many recipients")));
    EXPECT_TRUE(is_transaction_full(smtp::Reply(452, "too many recipients")));
    EXPECT_TRUE(is_transaction_full(smtp::Reply(552, "5.5.3 too many recipients")));
    EXPECT_FALSE(is_transaction_full(smtp::Reply(452, "4.2.2 mailbox full")));
    EXPECT_FALSE(is_transaction_full(smtp::Reply(550, "5.5.3 no")));
}

TEST(Classify, SaysWhatTheServerLacks) {
    EXPECT_EQ(too_big(100, 50, peer()).disposition.text,
              "message size 100 exceeds size limit 50 of server smtp.example.net[192.0.2.7]");
    EXPECT_EQ(too_big(100, 50, peer()).disposition.status, mail::EnhancedStatus(5, 3, 4));
    EXPECT_EQ(smtputf8_missing(peer()).disposition.status, mail::EnhancedStatus(5, 6, 7));
}

}  // namespace
}  // namespace postrider::delivery
