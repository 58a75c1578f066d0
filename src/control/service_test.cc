#include "control/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "control/codec.h"
#include "core/base64.h"
#include "queue/testing/loop.h"
#include "queue/testing/samples.h"

namespace postrider::control {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kOwner = 110;
constexpr std::int64_t kAnn = 1000;
constexpr std::int64_t kBob = 1001;
constexpr std::int64_t kStaff = 1002;  // In authorized_flush_users and authorized_mailq_users.

/// Reads along; `patience` lines at most.
class Reader final : public Answer {
public:
    net::Awaitable<Result<void>> line(std::string text) override {
        if (patience-- <= 0) co_return Unexpected(ErrorCode::Connection, "gone");
        lines.push_back(Json::parse(text));
        co_return Result<void>();
    }

    /// The values of the lines that have this member.
    std::vector<Json> all(const char* member) const {
        std::vector<Json> found;
        for (const Json& line : lines) {
            if (line.contains(member)) found.push_back(line[member]);
        }
        return found;
    }
    std::vector<std::string> listed() const {
        std::vector<std::string> ids;
        for (const Json& message : all("message")) ids.push_back(message["id"]);
        return ids;
    }
    std::vector<std::string> changed() const {
        const auto ids = all("changed");
        return {ids.begin(), ids.end()};
    }
    const Json& last() const { return lines.back(); }

    std::vector<Json> lines;
    int patience = 1000;
};

class ServiceTest : public testing::Test {
protected:
    ServiceTest() {
        surroundings.owner_uid = kOwner;
        surroundings.may_list_all =
            surroundings.may_flush = [](std::int64_t uid) { return uid == kStaff; };
        surroundings.pause = [this](const std::string& hops) { done.push_back("pause " + hops); };
        surroundings.resume = [this](const std::string& hops) { done.push_back("resume " + hops); };
        surroundings.unthrottle = [this] { done.emplace_back("unthrottle"); };
    }

    /// Returns the queue id.
    std::string submit(std::int64_t uid, const std::string& to = "bob@corp.example",
                       const std::string& content = "Subject: x\r\n\r\nhello\r\n") {
        const std::uint64_t number = *loop.run(queue.reserve(1));
        auto message = queue::testing::message(number, clock.now(), {to}, content);
        message.submitter_uid = uid;
        const std::string id = message.ticket.id.str();
        EXPECT_TRUE(loop.run(queue.commit(std::move(message), 0, content)));
        return id;
    }

    /// All that is due, for an hour.
    void put_off() {
        const auto leases = loop.run(queue.lease_due(100));
        for (const queue::Lease& lease : *leases) {
            queue::Settlement settlement;
            settlement.number = lease.number;
            settlement.outcomes.push_back(
                queue::testing::outcome(0, mail::Disposition::Kind::Deferred));
            settlement.next_attempt = clock.now() + std::chrono::hours(1);
            settlement.finished = true;
            EXPECT_TRUE(loop.run(queue.settle(std::move(settlement))));
        }
    }

    Request request(Operation operation, std::vector<std::string> ids = {}) {
        Request made;
        made.operation = operation;
        made.ids = std::move(ids);
        return made;
    }

    Reader ask(const Request& request, std::int64_t uid, int patience = 1000) {
        Reader reader;
        reader.patience = patience;
        Service service(queue, surroundings, log);
        const Caller caller{uid};
        loop.spawn(service.answer(request, caller, reader));
        EXPECT_TRUE(loop.run_all());
        return reader;
    }
    std::string place_of(const std::string& id) {
        const auto found = loop.run(queue.find(*mail::QueueId::parse(id)));
        return *found ? std::string(name_of((*found)->place)) : "gone";
    }

    CapturedLog lines;
    Log log{lines, "control"};
    ManualClock clock;
    queue::testing::Loop loop;
    queue::Queue queue{queue::Spool::open_in_memory(clock), loop.executor(), clock, log,
                       queue::Queue::Storage::Inline};
    Surroundings surroundings;
    std::vector<std::string> done;  ///< By the surroundings.
};

TEST_F(ServiceTest, ShowsEverybodyTheirOwnMailAndTheAuthorisedAll) {
    const std::string anns = submit(kAnn);
    const std::string bobs = submit(kBob);
    const Request list = request(Operation::List);

    EXPECT_THAT(ask(list, kAnn).listed(), ElementsAre(anns));
    EXPECT_THAT(ask(list, kBob).listed(), ElementsAre(bobs));
    EXPECT_THAT(ask(list, 4711).listed(), IsEmpty());
    for (const std::int64_t uid : {kStaff, kOwner, std::int64_t{0}}) {
        const Reader answer = ask(list, uid);
        EXPECT_THAT(answer.listed(), ElementsAre(anns, bobs)) << uid;
        EXPECT_EQ(answer.last()["done"], 2) << uid;
    }
}

TEST_F(ServiceTest, ListsManyPages) {
    for (int i = 0; i < 450; ++i) submit(kAnn);
    submit(kBob);

    EXPECT_EQ(ask(request(Operation::List), kAnn).last()["done"], 450);
}

TEST_F(ServiceTest, DoesNothingForWhoMayNot) {
    const std::string id = submit(kAnn);
    for (const Operation operation :
         {Operation::Show, Operation::Hold, Operation::Release, Operation::Remove,
          Operation::Requeue, Operation::Expire, Operation::Pause, Operation::Resume}) {
        for (const std::int64_t uid : {kAnn, kStaff}) {
            Request asked = request(operation, {id});
            const Reader some = ask(asked, uid);
            asked.all = true;
            const Reader all = ask(asked, uid);
            for (const Reader& answer : {some, all}) {
                EXPECT_EQ(answer.lines.size(), 1U) << name_of(operation) << uid;
                EXPECT_TRUE(answer.last()["denied"].get<bool>()) << name_of(operation) << uid;
            }
        }
    }
    EXPECT_TRUE(ask(request(Operation::Flush), kAnn).last()["denied"].get<bool>());
    EXPECT_THAT(done, IsEmpty());
    EXPECT_EQ(place_of(id), "incoming");
}

TEST_F(ServiceTest, ChangesWhatIsNamedAndSaysWhich) {
    const std::string first = submit(kAnn);
    const std::string second = submit(kAnn);

    const Reader answer = ask(request(Operation::Hold, {second, "8DC08A800E0"}), 0);

    EXPECT_THAT(answer.changed(), ElementsAre(second)) << "there is no other of that name";
    EXPECT_EQ(answer.last()["done"], 1);
    EXPECT_EQ(place_of(first), "incoming");
    EXPECT_EQ(place_of(second), "hold");
    EXPECT_THAT(ask(request(Operation::Release, {first, second}), kOwner).changed(),
                ElementsAre(second));
    EXPECT_EQ(place_of(second), "deferred");
    EXPECT_THAT(ask(request(Operation::Remove, {first}), kOwner).changed(), ElementsAre(first));
    EXPECT_EQ(place_of(first), "gone");
    EXPECT_EQ(place_of(second), "deferred");
}

TEST_F(ServiceTest, ChangesEverythingWhenThatIsAskedAndNothingWhenNothingIs) {
    const std::string first = submit(kAnn);
    const std::string second = submit(kBob);
    Request hold = request(Operation::Hold);
    EXPECT_EQ(ask(hold, 0).last()["done"], 0);
    EXPECT_EQ(place_of(first), "incoming");

    hold.all = true;

    EXPECT_EQ(ask(hold, 0).last()["done"], 2);
    EXPECT_EQ(place_of(first), "hold");
    EXPECT_EQ(place_of(second), "hold");
}

TEST_F(ServiceTest, ExpiresAndQueuesAgain) {
    const std::string id = submit(kAnn);
    put_off();
    EXPECT_THAT(ask(request(Operation::Requeue, {id}), 0).changed(), ElementsAre(id));
    EXPECT_THAT(ask(request(Operation::Expire, {id}), 0).changed(), ElementsAre(id));
    const Reader listed = ask(request(Operation::List), 0);
    EXPECT_TRUE(listed.all("message").at(0)["expire"].get<bool>());
}

TEST_F(ServiceTest, FindsMailForASiteInWhateverCaseItIsWritten) {
    const std::string here = submit(kAnn, "bob@Corp.Example");
    submit(kAnn, "bob@other.example");
    put_off();
    Request list = request(Operation::List);
    list.site = "corp.eXample";
    Request flush = request(Operation::Flush);
    flush.site = "corp.example";

    EXPECT_THAT(ask(list, 0).listed(), ElementsAre(here));
    EXPECT_EQ(ask(flush, kStaff).last()["done"], 1);
    EXPECT_THAT(done, ElementsAre("unthrottle"));
}

TEST_F(ServiceTest, FlushesEverythingOrWhatIsNamed) {
    const std::string id = submit(kAnn);
    submit(kAnn);
    put_off();

    EXPECT_EQ(ask(request(Operation::Flush, {id}), 0).last()["done"], 1);
    EXPECT_EQ(ask(request(Operation::Flush), 0).last()["done"], 2);
}

TEST_F(ServiceTest, ShowsAMessageWholeInPieces) {
    std::string content = "Subject: x\r\n\r\n";
    for (int i = 0; i < 3; ++i) content += std::string(998, static_cast<char>('a' + i)) + "\r\n";
    const std::string id = submit(kAnn, "bob@corp.example", content);

    const Reader answer = ask(request(Operation::Show, {id, "8DC08A800E0"}), 0);

    EXPECT_THAT(answer.listed(), ElementsAre(id));
    std::string shown;
    for (const Json& piece : answer.all("content"))
        shown += *decode_base64(piece.get<std::string>());
    EXPECT_EQ(shown, content);
    EXPECT_EQ(answer.last()["done"], 1);
}

TEST_F(ServiceTest, PausesAndResumesNextHops) {
    Request pause = request(Operation::Pause);
    pause.site = "[smtp.example.net]:465";
    ask(pause, 0);
    ask(request(Operation::Resume), kOwner);
    EXPECT_THAT(done, ElementsAre("pause [smtp.example.net]:465", "resume "));
}

TEST_F(ServiceTest, SaysWhenNothingIsDeliveredHere) {
    surroundings.pause = nullptr;
    const Reader answer = ask(request(Operation::Pause), 0);
    EXPECT_EQ(answer.last()["error"], "nothing is delivered here");
    EXPECT_FALSE(answer.last()["denied"].get<bool>());
}

TEST_F(ServiceTest, TellsItsStatusWithTheQueueAndWhatWaitsForAnAccount) {
    submit(kAnn);
    const std::string held = submit(kAnn);
    ask(request(Operation::Hold, {held}), 0);
    surroundings.status = [] {
        return R"({"up": 7, "accounts": [{"next_hops": "[a]:465", "login": "ann"}]})";
    };

    const Json status = ask(request(Operation::Status), 4711).all("status").at(0);

    EXPECT_EQ(status["up"], 7);
    EXPECT_EQ(status["queue"]["incoming"], 1);
    EXPECT_EQ(status["queue"]["hold"], 1);
    EXPECT_EQ(status["accounts"][0]["waiting"], 0);
}

TEST_F(ServiceTest, EndsWithWhoNoLongerListens) {
    for (int i = 0; i < 5; ++i) submit(kAnn);
    EXPECT_EQ(ask(request(Operation::List), kAnn, 2).lines.size(), 2U);
    const std::string id = submit(kAnn);
    EXPECT_THAT(ask(request(Operation::Show, {id}), 0, 0).lines, IsEmpty());
    EXPECT_THAT(ask(request(Operation::Status), 0, 0).lines, IsEmpty());
}

}  // namespace
}  // namespace postrider::control
